"""maps.json: of which photographs there are maps in a folder, and by which checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from dr_ovo.dataset.image_files import MAPS
from dr_ovo.json_files import read_as
from dr_ovo.photographs.content.file_header import sides_of
from dr_ovo.photographs.content.jpeg_segments import JPEG_START
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import MADE_FROM
from dr_ovo.results.schemas import Count, FileName, Positive, Sha256

SCHEMA = 1
FOLDER = "maps"  # the default folder in a results folder
FILE, PAGE = MAPS, "maps.html"
MAX_STRIP = 1 << 20  # bytes of a strip
AGAIN = "Make the maps again: python -m dr_ovo explain"


class MappedPhotograph(Struct):
    """A photograph, and the file of its strip."""

    file: str
    grade: Count
    rival: Count
    strip: FileName


class MapsFile(Struct):
    """What is read back of maps.json. `stems`: the names of the files of all photographs, without
    their suffixes, also of those that were not reached before a run was stopped."""

    schema: Positive
    checkpoints: dict[str, Sha256]
    stems: list[FileName]
    photographs: list[MappedPhotograph]


@dataclass(frozen=True)
class Strip:
    """A JPEG of a photograph and its maps side by side, its sides in pixels, and the two grades."""

    jpeg: bytes
    width: int
    height: int
    grade: int
    rival: int


def read_strips(folder: ResultsFolder, sample_ids: list[str]) -> Mapping[str, Strip]:
    """The strips in a results folder of these photographs, by their paths inside the split; only by
    the checkpoints that were evaluated. Raises UserError for a damaged maps.json."""
    root = folder.root / FOLDER
    if not (root / FILE).is_file():
        return {}
    maps = read_as(root / FILE, MapsFile, AGAIN)
    evaluated = folder.read_evaluation("test").get(MADE_FROM, {}).get("checkpoints")
    if maps.checkpoints != evaluated:
        return {}
    wanted, found = set(sample_ids), dict[str, Strip]()
    for one in maps.photographs:
        parts = one.file.replace("\\", "/").split("/")
        # The id of a photograph is the end of its path.
        ends = ("/".join(parts[place:]) for place in range(len(parts)))
        name = next((end for end in ends if end in wanted), None)
        strip = None if name is None else _read(root / one.strip, one)
        if name is not None and strip is not None:
            found[name] = strip
    return found


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
    return Strip(data, width, height, one.grade, one.rival) if data.startswith(JPEG_START) else None
