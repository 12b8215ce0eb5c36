"""The columns of a label file: their usual names, and which one a role is read from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.grade_columns import (
    GRADE_NAMES,
    NAMES_SHOWN,
    GradeColumn,
    grade_positions,
)
from dr_ovo.prepare.readers.grade_scale import UNKNOWN, GradeScale
from dr_ovo.prepare.readers.label_files.csv_rows import LabelTable
from dr_ovo.prepare.readers.label_files.gradable import GRADABLE_NAMES
from dr_ovo.prepare.readers.label_files.usual_names import MAY_BE_OF_PHOTOGRAPHS, USUAL_NAMES

NOT_USED = "none"  # `--split_column none`: ignore a column that would be found by its name
SEARCHED = 200  # rows of which the names of photographs are looked up


def simple_name(name: str) -> str:
    """A column's name in lower case, with _ for runs of blanks and the like; without `(0-4)`.

    `LeftDRLevel` is left_dr_level.
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    name = re.sub(r"[(\[][\d\W]*[)\]]", "", name.lower())
    return re.sub(r"[\W_]+", "_", name).strip("_")


def header_test(named: Mapping[str, str]) -> Callable[[Sequence[str]], bool]:
    """Whether the cells of a line are a header: they name an image column and a grade column."""
    image, grade = (simple_name(named.get(role, "")) for role in ("image", "grade"))

    def is_header(cells: Sequence[str]) -> bool:
        # Positions from 1 on: `1 2` may be picture 1 with grade 2. pandas names columns 0, 1.
        if image.isdigit() and grade.isdigit() and "0" not in (image, grade):
            return False
        names = [simple_name(cell) for cell in cells]
        has_image = image in names if image else any(n in USUAL_NAMES["image"] for n in names)
        return has_image and (grade in names if grade else bool(grade_positions(names)))

    return is_header


def names_column(cell: str) -> bool:
    """Whether a cell is the usual name of a column."""
    names = (*USUAL_NAMES.values(), GRADABLE_NAMES, GRADE_NAMES)
    return any(simple_name(cell) in usual for usual in names)


def find_columns(
    table: LabelTable, named: Mapping[str, str], is_known: Callable[[str], bool]
) -> dict[str, int]:
    """Role (a key of USUAL_NAMES) -> position of its column.

    `named`: role -> column named by a flag. Of several usual columns of images, the one is taken
    that names most photographs by `is_known`, then the first in USUAL_NAMES. Raises UserError if a
    named column is missing, stands twice, or if no column of images is found.
    """
    names = [simple_name(name) for name in table.header]
    columns = {}
    for role, usual in USUAL_NAMES.items():
        wanted = named.get(role, "")
        if wanted.lower() == NOT_USED and role != "image":
            continue
        if wanted:
            columns[role] = named_position(table, role, wanted)
            continue
        if role == "image" and table.headerless:
            found = list(range(len(names)))
        else:
            found = [names.index(name) for name in usual if name in names]
        if role == "image":
            found = _most_known(table, found, is_known)
        if role == "patient":
            found = [at for at in found if _may_be_patients(table, at, names[at])]
        if found:
            columns[role] = found[0]
            require_once(table, found[:1])
        elif role == "image":
            raise not_found(table, role, usual)
    return columns


def gradable_columns(table: LabelTable, named: Mapping[str, str]) -> list[int]:
    """The positions of the columns that say which photographs can be graded: the one named by a
    flag, else each of a usual name. Raises UserError for one that is not there, or stands twice."""
    wanted = named.get("gradable", "")
    if wanted.lower() == NOT_USED or (table.headerless and not wanted):
        return []
    if wanted:
        return [named_position(table, "gradable", wanted)]
    found = [at for at, name in enumerate(table.header) if simple_name(name) in GRADABLE_NAMES]
    require_once(table, found)
    return found


def grade_candidates(
    table: LabelTable, named: Mapping[str, str], image: int, scale: GradeScale
) -> list[GradeColumn]:
    """The columns that may have the grade: the one named by a flag, else those of listed names.

    Without a header line: the only column beside `image` that has grades or numbers. Raises
    UserError where there is none, or one that stands twice.
    """
    if wanted := named.get("grade", ""):
        at = named_position(table, "grade", wanted)
        return [GradeColumn((table.header[at],), {"": at}, 0)]
    if table.headerless:
        return [_without_header(table, image, scale)]
    found = [
        replace(column, names=tuple(table.header[at] for at in column.positions.values()))
        for column in grade_positions([simple_name(name) for name in table.header])
    ]
    if not found:
        raise not_found(table, "grade")
    for column in found:
        require_once(table, list(column.positions.values()))
    return found


def _without_header(table: LabelTable, image: int, scale: GradeScale) -> GradeColumn:
    others = [at for at in range(len(table.header)) if at != image and any(table.column(at))]
    graded = [
        at
        for at in others
        if all(scale.read(cell).kind != UNKNOWN for cell in table.column(at))
        and not (at < image and _counts(table.column(at)))
    ]
    found = others if len(others) == 1 else graded
    if len(found) != 1:
        raise UserError(
            f"{table.labels} has no header line that names a column of images and one of grades, "
            f"and {len(found)} of its {len(table.header)} columns look like grades. Write a first "
            "line such as image,level, or give positions: --image_column 1 --grade_column 2."
        )
    return GradeColumn((table.header[found[0]],), {"": found[0]}, 0)


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells count the rows, from 0 or from 1."""
    return any(list(cells) == [str(at + first) for at in range(len(cells))] for first in (0, 1))


def _may_be_patients(table: LabelTable, at: int, name: str) -> bool:
    cells = [cell for cell in table.column(at) if cell]
    return name not in MAY_BE_OF_PHOTOGRAPHS or len({*cells}) < len(cells)


def _most_known(
    table: LabelTable, found: Sequence[int], is_known: Callable[[str], bool]
) -> list[int]:
    """The positions `found`, those first that name most photographs."""
    if len(found) < 2:
        return list(found)
    known = {at: sum(map(is_known, table.column(at)[:SEARCHED])) for at in found}
    return sorted(found, key=lambda at: -known[at])


def named_position(table: LabelTable, role: str, wanted: str) -> int:
    """The position of a column that a flag names. Raises UserError where there is none."""
    wanted = wanted.strip()
    for form in (str.lower, simple_name):
        forms = [form(name) for name in table.header]
        if form(wanted) in forms:
            position = forms.index(form(wanted))
            require_once(table, [position])
            return position
    raise UserError(
        f"--{role}_column {wanted}: {table.labels} has no such column. It has: {table.titles}."
    )


def require_once(table: LabelTable, positions: Sequence[int]) -> None:
    """Raises UserError where a column at one of the `positions` has a namesake."""
    counts = Counter(name.lower() for name in table.header)
    for position in positions:
        name = table.header[position]
        if counts[name.lower()] > 1:
            raise UserError(
                f"{table.labels}: the column {name} stands there {counts[name.lower()]} times. "
                "Rename or remove one, so that it is clear which one is meant."
            )


def not_found(table: LabelTable, role: str, usual: Sequence[str] = NAMES_SHOWN) -> UserError:
    """The error for a file without a usual column of a role."""
    return UserError(
        f"{table.labels} has no column of {role}s under a usual name ({', '.join(usual)})."
        f" It has: {table.titles}. Name the right one with --{role}_column."
    )
