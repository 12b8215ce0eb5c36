"""Reads a folder of photographs with one or several label files, one row per photograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dr_ovo.dataset.patients_and_eyes import patient_and_eye
from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.dataset.words import is_unknown
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.grade_choice import (
    check_gradable_columns,
    check_grades,
    grade_column,
    other_column_has_more,
)
from dr_ovo.prepare.readers.grade_columns import GradeColumn
from dr_ovo.prepare.readers.grade_scale import GRADED, OUTSIDE, GradeScale, Reading
from dr_ovo.prepare.readers.label_files.csv_columns import NOT_USED
from dr_ovo.prepare.readers.label_files.image_lookup import ImageLookup
from dr_ovo.prepare.readers.label_files.label_rows import (
    LabelFile,
    Row,
    located_rows,
    open_label_files,
)
from dr_ovo.prepare.readers.label_files.patient_numbers import with_one_form
from dr_ovo.prepare.readers.label_remarks import label_remarks
from dr_ovo.prepare.readers.unused_columns import unused_columns


@dataclass(frozen=True)
class LabelRules:
    """What labels mean, and what is left out without a question."""

    scale: GradeScale = field(default_factory=GradeScale)
    skip_ungraded: bool = False
    skip_missing: bool = False


@dataclass(frozen=True)
class LabelReading:
    """The graded photographs, those left out, remarks for the user, and role -> column used."""

    photographs: list[Photograph]
    dropped: list[Dropped]
    remarks: list[str]
    columns: dict[str, str]


def read_labels(
    images: Path,
    labels: Sequence[Path],
    named: Mapping[str, str],
    rules: LabelRules,
    paths: Sequence[Path] | None = None,
) -> LabelReading:
    """What the files `labels` say of the photographs in `images` (searched recursively), or of
    those of `paths`, which are in it.

    `named` maps roles to columns named by flags (see `find_columns`). The image column has file
    names or paths, with or without suffix. Raises UserError for cells that can't be interpreted,
    for missing images, and for images named twice with different labels.
    """
    if not images.is_dir():
        raise UserError(f"--images {images}: there is no such folder.")
    lookup = ImageLookup(images, paths)
    files = open_label_files(labels, named, lookup, rules.scale)
    rows, missing, remarks = located_rows(files, lookup, skip_missing=rules.skip_missing)
    rows = with_one_form(rows)
    check_gradable_columns(files, rows)
    grades = {file.labels: grade_column(file, rows, rules.scale) for file in files}
    texts = [grades[row.file.labels].text(row.where, row.cells, row.eye) for row in rows]
    readings = [rules.scale.read(text) for text in texts]
    check_grades(
        files, grades, rows, texts, readings, rules.scale, skip_ungraded=rules.skip_ungraded
    )
    repeats = _repeats(rows, readings)
    found: list[Photograph] = []
    ungraded: list[Dropped] = []
    for at, row in enumerate(rows):
        if at in repeats:
            continue
        reason = _without_grade(row, texts[at], readings[at])
        grade = readings[at].grade
        if reason or grade is None:
            ungraded.append(Dropped(row.name, "ungraded", reason, split=row.split))
        else:
            found.append(_photograph(row, grade))
    keep = named.get("split", "").lower() != NOT_USED
    more = [other_column_has_more(f, grades[f.labels], rows, rules.scale) for f in files]
    more += [one for f in files for one in unused_columns(f, grades[f.labels], rows, rules.scale)]
    remarks += [*filter(None, more), *label_remarks(files, rows, repeats, lookup, keep_splits=keep)]
    return LabelReading(found, [*missing, *ungraded], remarks, _columns_used(files, grades))


def _repeats(rows: Sequence[Row], readings: Sequence[Reading]) -> set[int]:
    """The rows that repeat an earlier one with the same labels.

    Raises UserError where the labels differ.
    """
    first: dict[Path, int] = {}
    repeated = set()
    for at, row in enumerate(rows):
        known = first.setdefault(row.path, at)
        if known == at:
            continue
        if (readings[known], rows[known].facts) != (readings[at], row.facts):
            hint = ""
            if rows[known].split != row.split:
                hint = (
                    " Where the splits have pictures of the same names, name a folder with the "
                    "pictures of all of them, each split in a folder of its own."
                )
            raise UserError(
                f"{row.where}: {row.image} is already in {rows[known].where}, with a different "
                f"grade or other labels. Remove one of the rows.{hint}"
            )
        repeated.add(at)
    return repeated


def _without_grade(row: Row, text: str, reading: Reading) -> str:
    """Why a row is left out, "" for one with a grade."""
    file = row.file.labels.name
    if reading.kind == OUTSIDE:
        return f"has '{text}' as grade in {file}, which is outside the scale"
    if reading.kind != GRADED:
        return f"has '{text}' as grade in {file}" if text else f"has no grade in {file}"
    if row.ungradable_by:
        return f"is ungradable by the column {row.ungradable_by} of {file}"
    return ""


def _photograph(row: Row, grade: int) -> Photograph:
    patient, eye = patient_and_eye(row.path.stem, "", PurePosixPath(row.name).parent.name)
    labelled, group = row.cell("patient"), row.cell("group")
    return Photograph(
        row.path,
        row.name,
        grade,
        patient=patient if is_unknown(labelled) else labelled,
        eye=row.eye or eye,
        group="" if is_unknown(group) else group,
        split=row.split,
        source=row.name,
    )


def _columns_used(files: Sequence[LabelFile], grades: Mapping[Path, GradeColumn]) -> dict[str, str]:
    """Role -> the column it was read from; several names where files or eyes have their own."""
    used: dict[str, list[str]] = {}
    for file in files:
        for role in file.columns:
            used.setdefault(role, []).append(file.title(role))
        for at in file.gradable:
            used.setdefault("gradable", []).append(file.table.header[at])
        used.setdefault("grade", []).append(grades[file.labels].title)
    return {role: ", ".join(dict.fromkeys(names)) for role, names in used.items()}
