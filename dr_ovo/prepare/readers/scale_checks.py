"""Checks the labels of a whole source against the scale: words, numbers, yes/no, missing grades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from dr_ovo.dataset.words import NUM_GRADES, number_of
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.grade_columns import is_yes_or_no
from dr_ovo.prepare.readers.grade_map import MAP_EXAMPLE
from dr_ovo.prepare.readers.grade_scale import (
    GRADED,
    OUTSIDE,
    UNKNOWN,
    GradeScale,
    Reading,
)

SHOWN = 10
TWO_CLASSES = "--class_names No_DR DR"
_ONE_TO_FIVE = "--grade_map 1=0 2=1 3=2 4=3 5=4"


def check_labels(
    wheres: Sequence[str],
    texts: Sequence[str],
    readings: Sequence[Reading],
    scale: GradeScale,
    *,
    skip_ungraded: bool,
) -> None:
    """Raises UserError, once for all N rows, for words without a meaning, for a scale from 1 to 5,
    and for numbers outside the scale unless `skip_ungraded`."""
    unknown = [at for at, reading in enumerate(readings) if reading.kind == UNKNOWN]
    if unknown:
        raise UserError(
            f"{_first(wheres, texts, unknown, scale)} Say what they mean, such as {MAP_EXAMPLE} "
            "(LABEL=- where one says that there is no grade), or fix or remove the rows. Yes and "
            f"no are two classes: {TWO_CLASSES} --grade_map no=No_DR yes=DR."
        )
    outside = [at for at, reading in enumerate(readings) if reading.kind == OUTSIDE]
    if not outside:
        return
    check_one_to_five(wheres, texts, readings, scale)
    if not skip_ungraded:
        raise UserError(
            f"{_first(wheres, texts, outside, scale)} Where they say that there is no grade (DDR: "
            "5 is ungradable), leave them out with --skip_ungraded; where they are grades, say "
            "which with --grade_map, or fix or remove the rows."
        )


def check_one_to_five(
    wheres: Sequence[str], texts: Sequence[str], readings: Sequence[Reading], scale: GradeScale
) -> None:
    """Raises UserError where N labels have a 5 and no 0, and the user did not say what they are."""
    outside = [at for at, reading in enumerate(readings) if reading.kind == OUTSIDE]
    grades = {reading.grade for reading in readings if reading.kind == GRADED}
    if not scale.is_given and 0 not in grades and any(number_of(texts[at]) == 5 for at in outside):
        raise UserError(
            f"{_first(wheres, texts, outside, scale)} There is no 0, so the scale may run from 1 "
            f"to 5: {_ONE_TO_FIVE}. Where 5 says that there is no grade: --grade_map 5=-."
        )


def _first(
    wheres: Sequence[str], texts: Sequence[str], rows: Sequence[int], scale: GradeScale
) -> str:
    """The first row that is no grade, what is expected, and how many there are of each label."""
    counts = Counter(texts[at] for at in rows)
    labels = ", ".join(f"'{text}' {count}" for text, count in counts.most_common(SHOWN))
    expected = (
        f"one of the classes {', '.join(scale.class_names)}, nor a number from 0 to "
        f"{scale.size - 1}"
        if scale.class_names
        else f"a grade from 0 to {NUM_GRADES - 1}, nor a name such as No DR, Mild, Moderate, "
        "Severe or Proliferative DR"
    )
    more = ", ..." if len(counts) > SHOWN else ""
    return (
        f"{wheres[rows[0]]}: '{texts[rows[0]]}' is not {expected} (rows without a grade by their "
        f"label: {labels}{more})."
    )


def check_folders(root: Path, names: Sequence[str], scale: GradeScale) -> None:
    """Raises UserError where the folders of grades below `root` are 0 and 1, and no others."""
    if scale.is_given or {number_of(name) for name in names} != {0, 1}:
        return
    raise UserError(
        f"--from_tree {root}: only two of ICDR's five grades are there, 0 and 1 (mild), and "
        "folders of these names often say whether there is a retinopathy. For two classes: "
        f"{TWO_CLASSES}. If these are ICDR's grades: --grade_map 0=0 1=1."
    )


def check_yes_or_no(title: str, texts: Sequence[str], readings: Sequence[Reading]) -> None:
    """Raises UserError where a column `title` that need not be grades holds only 0 and 1."""
    if is_yes_or_no(texts, readings):
        raise UserError(
            f"{title} has only 0 and 1, and its name does not say grade, level, stage or severity: "
            "it seems to say whether there is a retinopathy, not ICDR's grades 0 and 1 (mild). For "
            f"two classes: {TWO_CLASSES}. If these are grades: name the column with "
            "--grade_column."
        )


def missing_grades(grades: Collection[int], scale: GradeScale) -> list[str]:
    """A remark where a grade of the scale has no photograph."""
    absent = [grade for grade in range(scale.size) if grade not in grades]
    if not absent or not grades:
        return []
    names = ", ".join(map(scale.folder, absent))
    said = f"No photograph has grade {names}."
    if scale.is_given:
        return [said]
    if absent == [NUM_GRADES - 1]:
        return [
            f"{said} Is this ICDR's scale? Messidor-1 has a scale of its own from 0 to 3, which is "
            "not ICDR's: a model of it can't be compared with others."
        ]
    if absent == [0]:
        return [f"{said} If the scale begins with 1, say so: --grade_map 1=0 2=1 3=2 4=3."]
    return [said]
