"""Which of its columns of grades a label file is read by, and whether all grades can be meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.grade_columns import PATIENT_RANK, GradeColumn, choose
from dr_ovo.prepare.readers.grade_map import MAP_EXAMPLE
from dr_ovo.prepare.readers.grade_scale import (
    GRADED,
    MISSING,
    OUTSIDE,
    GradeScale,
    Reading,
)
from dr_ovo.prepare.readers.label_files.gradable import check_gradable
from dr_ovo.prepare.readers.label_files.label_rows import LabelFile, Row
from dr_ovo.prepare.readers.scale_checks import check_labels, check_yes_or_no

SHOWN = 10


def grade_column(file: LabelFile, rows: Sequence[Row], scale: GradeScale) -> GradeColumn:
    """The column of a file that has the grades of its rows: one of the best rank with a grade.

    Raises UserError where a column of a better rank says something that is no grade, or where
    columns of one rank disagree.
    """
    own = [row for row in rows if row.file is file and not row.ungradable_by]
    wheres = [row.where for row in own]
    for rank in sorted({column.rank for column in file.candidates}):
        equal = [column for column in file.candidates if column.rank == rank]
        texts = [[one.text(row.where, row.cells, row.eye) for row in own] for one in equal]
        chosen = choose(file.labels, equal, texts, wheres, scale)
        if chosen is not None:
            return equal[chosen]
        for column, cells in zip(equal, texts, strict=True):
            _refuse_no_grades(file, column, cells, scale)
    return file.candidates[0]


def _refuse_no_grades(
    file: LabelFile, column: GradeColumn, texts: Sequence[str], scale: GradeScale
) -> None:
    """Raises UserError for a column without a grade that says something, and wins over others."""
    said = Counter(text for text in texts if scale.read(text).kind != MISSING)
    others = [other.title for other in file.candidates if other.rank > column.rank]
    if not said or not others:
        return
    words = ", ".join(f"'{text}' {count}" for text, count in said.most_common(SHOWN))
    raise UserError(
        f"{file.labels}: {column.title} comes before {', '.join(others)} as column of grades, and "
        f"what it says is no grade ({words}{', ...' if len(said) > SHOWN else ''}). Say what it "
        f"means, such as {MAP_EXAMPLE}, or name another column: --grade_column {others[0]}."
    )


def other_column_has_more(
    file: LabelFile, chosen: GradeColumn, rows: Sequence[Row], scale: GradeScale
) -> str:
    """A remark where rows without a grade in the chosen column have one in another; else "".

    That of the patient does not count: it may be the other eye's.
    """
    others = [
        column
        for column in file.candidates
        if column is not chosen and "" in column.positions and column.rank < PATIENT_RANK
    ]
    if not others:
        return ""

    def kind(column: GradeColumn, row: Row) -> str:
        return scale.read(column.text(row.where, row.cells, row.eye)).kind

    own = [row for row in rows if row.file is file and not row.ungradable_by]
    without = [row for row in own if kind(chosen, row) == MISSING]
    counts = {c.title: sum(kind(c, row) == GRADED for row in without) for c in others}
    best = max(counts, key=lambda title: counts[title])
    if not counts[best]:
        return ""
    return (
        f"{counts[best]} rows of {file.labels.name} have no grade in {chosen.title}, which is "
        f"used, but one in {best}, and are left out. To use that column for all rows: "
        f"--grade_column {best}."
    )


def check_grades(
    files: Sequence[LabelFile],
    grades: Mapping[Path, GradeColumn],
    rows: Sequence[Row],
    texts: Sequence[str],
    readings: Sequence[Reading],
    scale: GradeScale,
    *,
    skip_ungraded: bool,
) -> None:
    """Raises UserError where the labels of all files together, texts and readings of N rows, are
    not on the scale."""
    # A row that its own column calls ungradable may say anything as grade.
    judged = [at for at, row in enumerate(rows) if not row.ungradable_by]
    wheres, texts, readings = (
        [rows[at].where for at in judged],
        [texts[at] for at in judged],
        [readings[at] for at in judged],
    )
    check_labels(wheres, texts, readings, scale, skip_ungraded=skip_ungraded)
    if scale.is_given:
        return
    for title in dict.fromkeys(grades[file.labels].title for file in files):
        named = [file for file in files if grades[file.labels].title == title]
        if any(file.names_grade or grades[file.labels].says_grade for file in named):
            continue
        # What is left out by --skip_ungraded says nothing of the others.
        own = [
            at
            for at, row in enumerate(judged)
            if rows[row].file in named and readings[at].kind != OUTSIDE
        ]
        place = ", ".join(f"{file.labels}: {title}" for file in named)
        check_yes_or_no(place, [texts[at] for at in own], [readings[at] for at in own])


def check_gradable_columns(files: Sequence[LabelFile], rows: Sequence[Row]) -> None:
    """Raises UserError where a cell of a gradable column is neither yes nor no."""
    for file in files:
        own = [row for row in rows if row.file is file]
        for at in file.gradable:
            texts = [row.cells[at] for row in own]
            check_gradable(file.table.header[at], [row.where for row in own], texts)
