"""Reads a folder of photographs with a label CSV, one row per photograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dr_ovo.dataset.patients_and_eyes import patient_and_eye
from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.dataset.words import is_unknown
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.csv_columns import (
    find_columns,
    group_hint,
    parse_eye,
    parse_grade,
    parse_split,
)
from dr_ovo.prepare.readers.csv_rows import read_rows
from dr_ovo.prepare.readers.image_lookup import ImageLookup

SHOWN = 10


@dataclass(frozen=True)
class _Row:
    """A row of the CSV whose image exists: file and line for messages, path, cells by role."""

    where: str
    path: Path
    cells: dict[str, str]


def read_labels(
    images: Path, labels: Path, named: Mapping[str, str]
) -> tuple[list[Photograph], list[Dropped], list[str]]:
    """The photographs in `images` (searched recursively) that the CSV `labels` grades.

    Also the photographs without a grade, and remarks for the user. `named` maps roles to columns
    named by flags (see `find_columns`). The image column has file names or paths, with or without
    suffix. Raises UserError for cells that can't be interpreted, for missing images, and for images
    named twice with different labels.
    """
    if not images.is_dir():
        raise UserError(f"--images {images}: there is no such folder.")
    header, lines = read_rows(labels)
    columns = find_columns(labels, header, named)
    files = ImageLookup(images)
    wheres = [f"{labels} line {line}" for line, _ in lines]
    cells = [
        {role: (row.get(column) or "").strip() for role, column in columns.items()}
        for _, row in lines
    ]
    rows, repeated = _without_repeats(_located(files, labels, wheres, cells))
    found: list[Photograph] = []
    ungraded: list[Dropped] = []
    for row in rows:
        grade = parse_grade(row.where, row.cells["grade"])
        name = row.path.relative_to(images).as_posix()
        if grade is None:
            ungraded.append(Dropped(name, "ungraded", f"has no grade in {labels.name}"))
        else:
            found.append(_photograph(row, name, grade))
    remarks = [
        group_hint(header, columns),
        _unnamed(files.unnamed({row.path for row in rows}), labels),
        _repeats(repeated, labels),
        _placeholders(rows),
    ]
    return found, ungraded, [remark for remark in remarks if remark]


def _located(
    files: ImageLookup, labels: Path, wheres: Sequence[str], cells: Sequence[dict[str, str]]
) -> list[_Row]:
    """The rows with their images. Raises UserError where images are missing."""
    places = [files.find(row["image"], where) for row, where in zip(cells, wheres, strict=True)]
    missing = [row["image"] for row, place in zip(cells, places, strict=True) if place is None]
    if missing:
        raise UserError(
            f"{labels} names {len(missing)} images that are not in {files.images}: "
            f"{_few(missing)}. Complete the folder, or remove their rows."
        )
    return [
        _Row(where, place, row)
        for where, place, row in zip(wheres, places, cells, strict=True)
        if place is not None
    ]


def _without_repeats(rows: Sequence[_Row]) -> tuple[list[_Row], list[str]]:
    """The rows, each image once, and the images that later rows repeat with the same labels.

    Raises UserError where the labels differ.
    """
    first: dict[Path, _Row] = {}
    repeated = []
    for row in rows:
        known = first.setdefault(row.path, row)
        if known is row:
            continue
        if known.cells | {"image": ""} != row.cells | {"image": ""}:
            raise UserError(
                f"{row.where}: {row.cells['image']} is already in {known.where}, with a different "
                "grade or other labels. Remove one of the rows."
            )
        repeated.append(row.cells["image"])
    return list(first.values()), repeated


def _photograph(row: _Row, name: str, grade: int) -> Photograph:
    patient, eye = patient_and_eye(row.path.stem, "", PurePosixPath(name).parent.name)
    cells, labelled = row.cells, row.cells.get("patient", "")
    return Photograph(
        row.path,
        name,
        grade,
        patient=patient if is_unknown(labelled) else labelled,
        eye=parse_eye(row.where, cells.get("eye", "")) or eye,
        group="" if is_unknown(cells.get("group", "")) else cells["group"],
        split=parse_split(row.where, cells["split"]) if "split" in cells else "",
        source=name,
    )


def _unnamed(names: Sequence[str], labels: Path) -> str:
    if not names:
        return ""
    return f"{len(names)} images have no row in {labels.name} and are left out: {_few(names)}."


def _repeats(names: Sequence[str], labels: Path) -> str:
    if not names:
        return ""
    return (
        f"{len(names)} rows in {labels.name} repeat an earlier one and count once: {_few(names)}."
    )


def _placeholders(rows: Sequence[_Row]) -> str:
    patients = [row.cells.get("patient", "") for row in rows]
    placeholders = sorted({patient for patient in patients if patient and is_unknown(patient)})
    if not placeholders:
        return ""
    count = sum(patient in placeholders for patient in patients)
    return (
        f"{count} photographs have {', '.join(map(repr, placeholders))} as patient: treated as "
        "unknown, so each counts as a patient of its own."
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
