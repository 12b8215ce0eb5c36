"""Which column of a label file has the grade: listed names, ranked, and compared by their values.

A column whose name is not listed never competes, whatever its values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dr_ovo.dataset.words import EYES, number_of
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.grade_scale import (
    GRADED,
    MISSING,
    OUTSIDE,
    UNKNOWN,
    GradeScale,
    Reading,
)

_GRADES = (
    "dr_grade", "grade", "dr_level", "level", "icdr", "dr_icdr", "icdr_grade", "dr_severity",
    "severity", "dr_stage", "retinopathy_grade", "diagnosis",
)  # fmt: skip
# Better ranks win without a comparison; names of one rank must agree. As `simple_name` writes them.
RANKS = (
    # Of several graders who agreed, or on ICDR's scale by name.
    (
        *(f"{by}_{what}" for by in ("adjudicated", "consensus", "final") for what in _GRADES),
        "dr_icdr", "icdr", "icdr_grade", "icdr_level", "icdr_score", "dr_icdr_grade",
    ),
    # Of the picture, or of its eye: each of these names with an eye in it (left_eye_dr_level).
    (
        "level", "diagnosis", "retinopathy_grade", "dr_grade", "dr_level", "dr_levels", "grade",
        "dr_severity", "dr_stage", "severity", "severity_level", "stage", "retinopathy_level",
        "diabetic_retinopathy_grade", "diabetic_retinopathy", "dr_class", "dr_label", "dr",
        "label", "class",
    ),
    # Of the patient: of the worse eye, so it may be that of the other one.
    ("patient_dr_level", "patient_dr_grade", "patient_level", "patient_grade"),
)  # fmt: skip
PATIENT_RANK = len(RANKS) - 1
GRADE_NAMES = tuple(name for names in RANKS for name in names)
NAMES_SHOWN = (*RANKS[1], "icdr", "adjudicated_dr_grade", "consensus_grade", "final_grade")
_RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
_SAYS_GRADE = re.compile(r"grade|level|stage|severity|icdr", re.IGNORECASE)


@dataclass(frozen=True)
class GradeColumn:
    """A column of grades, or one per eye: names, and positions by eye ("" for both)."""

    names: tuple[str, ...]
    positions: Mapping[str, int]
    rank: int

    @property
    def title(self) -> str:
        """Its names for people."""
        return ", ".join(self.names)

    @property
    def says_grade(self) -> bool:
        """Whether its name says that it holds grades, not yes and no."""
        return all(map(_SAYS_GRADE.search, self.names))

    def text(self, where: str, cells: Sequence[str], eye: str) -> str:
        """The cell for a picture of an `eye` ("" where unknown).

        Raises UserError where both eyes have different grades and the picture's is not known.
        """
        if "" in self.positions:
            return cells[self.positions[""]]
        if eye:
            return cells[self.positions[eye]] if eye in self.positions else ""
        if len(self.positions) == 1 and any(cells[at] for at in self.positions.values()):
            raise UserError(
                f"{where}: {self.title} is of one eye, and neither a column nor the file's name "
                "says which eye the picture is of. Name a column with --eye_column, or one of "
                "grades with --grade_column."
            )
        filled = {cells[at] for at in self.positions.values() if cells[at]}
        if len(filled) > 1:
            raise UserError(
                f"{where}: {self.title} differ ({', '.join(sorted(filled))}), and neither a column "
                "nor the file's name says which eye it is. Name a column with --eye_column, or one "
                "of grades with --grade_column."
            )
        return filled.pop() if filled else ""


def grade_positions(names: Sequence[str]) -> list[GradeColumn]:
    """The columns of grades among simple `names` (see `simple_name`), best rank first."""
    found = [
        GradeColumn((name,), {"": at}, _RANK[name])
        for at, name in enumerate(names)
        if name in _RANK
    ]
    by_rest: dict[str, dict[str, int]] = {}
    for at, name in enumerate(names):
        eye, rest = _eye_and_rest(name)
        if eye and rest in _RANK:
            eyes = by_rest.setdefault(rest, {})
            if eye in eyes:
                raise UserError(
                    f"The columns {names[eyes[eye]]} and {name} may both be the grade of the {eye} "
                    "eye. Remove one, or name a column of grades with --grade_column."
                )
            eyes[eye] = at
    pairs = [rest for rest, eyes in by_rest.items() if len(eyes) == 2]
    # One eye's column alone is better than the patient's grade, and than nothing.
    alone = not pairs and all(column.rank == PATIENT_RANK for column in found)
    found += [
        GradeColumn(tuple(names[at] for at in by_rest[rest].values()), by_rest[rest], _RANK[rest])
        for rest in (by_rest if alone else pairs)
    ]
    return sorted(found, key=lambda column: (column.rank, min(column.positions.values())))


def _eye_and_rest(name: str) -> tuple[str, str]:
    """The eye in a simple name and the name without it: `left_eye_dr_level` -> left, dr_level."""
    parts = name.split("_")
    eyes = [at for at, part in enumerate(parts) if part in EYES]
    if len(eyes) != 1:
        return "", ""
    rest = [part for at, part in enumerate(parts) if at != eyes[0] and part != "eye"]
    return EYES[parts[eyes[0]]], "_".join(rest)


def is_yes_or_no(texts: Sequence[str], readings: Sequence[Reading]) -> bool:
    """Whether cells `texts` (N,), read as `readings` (N,), have no other grades than 0 and 1."""
    # In words ("Mild") they would be ICDR's.
    grades = [(t, r.grade) for t, r in zip(texts, readings, strict=True) if r.kind == GRADED]
    others = any(r.kind not in (GRADED, MISSING) for r in readings)
    return (
        bool(grades)
        and not others
        and all(grade in (0, 1) and number_of(text) is not None for text, grade in grades)
    )


def choose(
    labels: object,
    candidates: Sequence[GradeColumn],
    texts: Sequence[Sequence[str]],
    wheres: Sequence[str],
    scale: GradeScale,
) -> int | None:
    """The number of the candidate that has the grades, None where none of them has one.

    The candidates are of one rank; `texts` are the N cells of each. A yes/no column gives way to
    the others. Raises UserError where these disagree in a row.
    """
    readings = [[scale.read(text) for text in cells] for cells in texts]
    equal = [at for at, cells in enumerate(readings) if any(r.kind == GRADED for r in cells)]
    if not equal:
        return None
    if not scale.is_given:
        equal = [
            at for at in equal
            if candidates[at].says_grade or not is_yes_or_no(texts[at], readings[at])
        ] or equal  # fmt: skip
    first = min(equal, key=lambda at: _unreadable_and_empty(readings[at]))
    for other in equal:
        rows = _differing(readings[first], readings[other])
        if rows:
            row = rows[0]
            raise UserError(
                f"{labels}: {candidates[first].title} and {candidates[other].title} may both be "
                f"the grade, and differ in {len(rows)} rows ({wheres[row]}: "
                f"'{texts[first][row]}' and '{texts[other][row]}'). Name the right one with "
                "--grade_column."
            )
    return first


def _unreadable_and_empty(readings: Sequence[Reading]) -> tuple[int, int]:
    counts = Counter(reading.kind for reading in readings)
    return counts[UNKNOWN] + counts[OUTSIDE], counts[MISSING]


def _differing(one: Sequence[Reading], other: Sequence[Reading]) -> list[int]:
    """The rows in which both say something, and not the same."""
    said = (GRADED, OUTSIDE)
    return [
        row
        for row, (mine, theirs) in enumerate(zip(one, other, strict=True))
        if mine.kind in said and theirs.kind in said and mine != theirs
    ]
