"""A folder of photographs and a CSV with a row for each of them."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Container, Mapping
from pathlib import Path

from dr_ovo.data.columns import (
    find_columns,
    group_hint,
    parse_eye,
    parse_grade,
    parse_split,
)
from dr_ovo.data.facts import patient_and_eye
from dr_ovo.data.index import IMAGE_SUFFIXES
from dr_ovo.data.photographs import Dropped, Photograph, image_files
from dr_ovo.errors import UserError

SHOWN = 10
DELIMITERS = ",;\t"


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
    header, rows = _read_rows(labels)
    columns = find_columns(labels, header, named)
    files = _Files(images)
    found: dict[Path, Photograph] = {}
    ungraded: list[Dropped] = []
    missing: list[str] = []
    lines: dict[Path, int] = {}
    for line, row in rows:
        where = f"{labels} line {line}"
        cells = {role: (row.get(column) or "").strip() for role, column in columns.items()}
        path = files.find(cells["image"], where)
        if path is None:
            missing.append(cells["image"])
            continue
        if path in lines:
            raise UserError(
                f"{where}: {cells['image']} stands already in line {lines[path]}. Take one out."
            )
        lines[path] = line
        grade = parse_grade(where, cells["grade"])
        name = path.relative_to(images).as_posix()
        if grade is None:
            ungraded.append(Dropped(name, "ungraded", f"has no grade in {labels.name}"))
        else:
            found[path] = _photograph(where, path, name, grade, cells)
    _require_none(missing, images, labels)
    remarks = [group_hint(header, columns), files.unnamed(lines, labels)]
    return list(found.values()), ungraded, [remark for remark in remarks if remark]


def _require_none(missing: list[str], images: Path, labels: Path) -> None:
    if missing:
        raise UserError(
            f"{labels} names {len(missing)} images that are not in {images}: {_few(missing)}. "
            "Complete the folder, or take their rows out."
        )


def _photograph(where: str, path: Path, name: str, grade: int, cells: dict[str, str]) -> Photograph:
    patient, eye = patient_and_eye(path.stem, "")
    split = parse_split(where, cells["split"]) if "split" in cells else ""
    return Photograph(
        path,
        name,
        grade,
        patient=cells.get("patient") or patient,
        eye=parse_eye(where, cells.get("eye", "")) or eye,
        group=cells.get("group", ""),
        split=split,
        source=name,
    )


def _read_rows(labels: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header, and (line, cells) of each row that is not empty."""
    try:
        with labels.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max(DELIMITERS, key=first.count))
            rows = [(reader.line_num, row) for row in reader if any(map(_filled, row.values()))]
            header = list(reader.fieldnames or [])
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"--labels {labels}: can't be read as CSV ({error}).") from None
    if not rows:
        raise UserError(f"--labels {labels}: has no rows.")
    return header, rows


def _filled(cell: str | list[str] | None) -> bool:
    """Whether a cell holds something; a list is what stands beyond the last column."""
    return any(map(_filled, cell)) if isinstance(cell, list) else bool(cell and cell.strip())


class _Files:
    """The images of a folder by what a CSV may call them."""

    def __init__(self, images: Path) -> None:
        self.images = images
        self.paths = image_files(images)
        # A path first: two folders may hold one name (IDRiD_001.jpg in training and in testing).
        self.by_path: dict[str, list[Path]] = defaultdict(list)
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            inside = path.relative_to(images)
            for key in {inside.as_posix(), inside.with_suffix("").as_posix()}:
                self.by_path[key].append(path)
            for key in {path.name, path.stem}:
                self.by_name[key].append(path)

    def find(self, text: str, where: str) -> Path | None:
        """The image that a cell names, None where there is none. Raises UserError for several."""
        if not text:
            raise UserError(f"{where}: names no image. Fill it in, or take the row out.")
        # A bare name may be in any folder, a path is what it says where that exists.
        path = text.replace("\\", "/")
        name = path.removeprefix("./")
        bare = name[: name.rindex(".")] if Path(name).suffix.lower() in IMAGE_SUFFIXES else name
        for known, keys in (
            (self.by_path, (name, bare) if "/" in path else ()),
            (self.by_name, (Path(name).name, Path(bare).name)),
        ):
            for key in keys:
                hits = known.get(key, [])
                if len(hits) > 1:
                    raise UserError(
                        f"{where}: '{text}' may be {hits[0]} or {hits[1]}, which have one name: "
                        f"write the path (./{text} for the folder itself), or rename one."
                    )
                if hits:
                    return hits[0]
        return None

    def unnamed(self, used: Container[Path], labels: Path) -> str:
        """A sentence on the images without a row; "" where each has one."""
        names = [p.relative_to(self.images).as_posix() for p in self.paths if p not in used]
        if not names:
            return ""
        return f"{len(names)} images have no row in {labels.name} and stay out: {_few(names)}."


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
