"""maps.json and maps.jsonl: of which photographs there are maps in a folder, by which checkpoints.

The first says what holds for all, the second has a line for each photograph, written as it is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from dr_ovo.dataset.image_files import MAPS
from dr_ovo.errors import UserError
from dr_ovo.json_files import read_as
from dr_ovo.photographs.content.file_header import sides_of
from dr_ovo.photographs.content.jpeg_segments import JPEG_START
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import MADE_FROM
from dr_ovo.results.schemas import Count, FileName, Positive, Sha256

SCHEMA = 1
FOLDER = "maps"  # the default folder in a results folder
FILE, LINES, PAGE = MAPS, "maps.jsonl", "maps.html"
MAX_STRIP = 1 << 20  # bytes of a strip, and of a line
AGAIN = "Make the maps again: python -m dr_ovo explain"


class MappedPhotograph(Struct):
    """A photograph, and the file of its strip."""

    file: str
    grade: Count
    rival: Count
    strip: FileName
    adds_up: bool


class MapsFile(Struct):
    """What is read back of maps.json. `stems`: the names of the files of all photographs, without
    their suffixes, also of those that were not reached before a run was stopped."""

    schema: Positive
    checkpoints: dict[str, Sha256]
    stems: list[FileName]


@dataclass(frozen=True)
class Strip:
    """A JPEG of a photograph and its maps side by side, its sides in pixels, the two grades, and
    whether the maps are what `adds_up` to the logits."""

    jpeg: bytes
    width: int
    height: int
    grade: int
    rival: int
    adds_up: bool


def read_strips(folder: ResultsFolder, grades: Mapping[str, int]) -> Mapping[str, Strip]:
    """The strips in a results folder of photographs of test, by their paths in it, for the grades
    that the evaluation gave them; only by the checkpoints that were evaluated. Raises UserError for
    a damaged maps.json or maps.jsonl."""
    root = folder.root / FOLDER
    if not (root / FILE).is_file():
        return {}
    maps = read_as(root / FILE, MapsFile, AGAIN)
    evaluated = folder.read_evaluation("test").get(MADE_FROM, {}).get("checkpoints")
    if maps.checkpoints != evaluated:
        return {}
    found: dict[str, Strip] = {}
    for one in _photographs(root / LINES):
        for name in _ends(one.file):
            if grades.get(name) == one.grade and (strip := _read(root / one.strip, one)):
                found[name] = strip
    return found


def _ends(file: str) -> Iterator[str]:
    """What a path may be inside a folder `test`."""
    parts = file.replace("\\", "/").split("/")
    return ("/".join(parts[place + 1 :]) for place, part in enumerate(parts) if part == "test")


def _photographs(path: Path) -> Iterator[MappedPhotograph]:
    """The lines of maps.jsonl, one at a time; a last one that was not finished is left out."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_STRIP), b""), 1):
                try:
                    yield msgspec.json.decode(line, type=MappedPhotograph)
                except (msgspec.DecodeError, ValueError, RecursionError) as error:
                    if line.endswith(b"\n") or len(line) >= MAX_STRIP:
                        raise UserError(
                            f"{path} is damaged in line {number}: {error}. {AGAIN}"
                        ) from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}. {AGAIN}") from None


def _read(path: Path, one: MappedPhotograph) -> Strip | None:
    """The strip in a file; None where it is not there, or no JPEG, or larger than any strip."""
    try:
        if path.stat().st_size > MAX_STRIP:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    try:
        height, width = sides_of(data)
    except DamagedImage:
        return None
    if not data.startswith(JPEG_START):
        return None
    return Strip(data, width, height, one.grade, one.rival, one.adds_up)
