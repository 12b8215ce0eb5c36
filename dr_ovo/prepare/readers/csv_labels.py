"""A folder of photographs and a CSV with a row for each of them."""

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
    """A row of the CSV whose image is there: its line in words, and its cells by role."""

    where: str
    path: Path
    cells: dict[str, str]


def read_labels(
    images: Path, labels: Path, named: Mapping[str, str]
) -> tuple[list[Photograph], list[Dropped], list[str]]:
    """The photographs of `images` (searched in depth) that the CSV `labels` grades.

    Also those without a grade, and remarks for the user. `named` maps roles to columns that flags
    name (see `find_columns`). The image column holds file names or paths, with or without suffix.
    Raises UserError for what can't be understood, images that are missing and ones named twice.
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
            f"{_few(missing)}. Complete the folder, or take their rows out."
        )
    return [
        _Row(where, place, row)
        for where, place, row in zip(wheres, places, cells, strict=True)
        if place is not None
    ]


def _without_repeats(rows: Sequence[_Row]) -> tuple[list[_Row], list[str]]:
    """The rows, each image once, and the images that later rows name again with the same words.

    Raises UserError where the words differ.
    """
    first: dict[Path, _Row] = {}
    repeated = []
    for row in rows:
        known = first.setdefault(row.path, row)
        if known is row:
            continue
        if known.cells | {"image": ""} != row.cells | {"image": ""}:
            raise UserError(
                f"{row.where}: {row.cells['image']} stands already in {known.where}, with another "
                "grade or other words. Take one out."
            )
        repeated.append(row.cells["image"])
    return list(first.values()), repeated


def _photograph(row: _Row, name: str, grade: int) -> Photograph:
    patient, eye = patient_and_eye(row.path.stem, "", PurePosixPath(name).parent.name)
    cells, told = row.cells, row.cells.get("patient", "")
    return Photograph(
        row.path,
        name,
        grade,
        patient=patient if is_unknown(told) else told,
        eye=parse_eye(row.where, cells.get("eye", "")) or eye,
        group="" if is_unknown(cells.get("group", "")) else cells["group"],
        split=parse_split(row.where, cells["split"]) if "split" in cells else "",
        source=name,
    )


def _unnamed(names: Sequence[str], labels: Path) -> str:
    if not names:
        return ""
    return f"{len(names)} images have no row in {labels.name} and stay out: {_few(names)}."


def _repeats(names: Sequence[str], labels: Path) -> str:
    if not names:
        return ""
    return (
        f"{len(names)} rows in {labels.name} repeat an earlier one and count once: {_few(names)}."
    )


def _placeholders(rows: Sequence[_Row]) -> str:
    told = [row.cells.get("patient", "") for row in rows]
    empty = sorted({word for word in told if word and is_unknown(word)})
    if not empty:
        return ""
    count = sum(word in empty for word in told)
    return (
        f"{count} photographs have {', '.join(map(repr, empty))} for a patient: taken as unknown, "
        "each then stands for itself."
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
