"""How much room decoded photographs take, and whether to keep them: --cache auto, on or off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.decoded.decoded_rows import DecodedRows
from dr_ovo.decoded.places import store_folder
from dr_ovo.errors import UserError
from dr_ovo.files import is_writable
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.tables import magnitude
from dr_ovo.writable import check_writable_folder

AUTO, ON, OFF = MODES = ("auto", "on", "off")
TIMES_FREE = 2  # auto: the room must be there so many times


@dataclass(frozen=True)
class Plan:
    """Whether rows are read, and whether the `missing` ones are built; `text` says so, and what
    they take."""

    read: bool
    build: bool
    missing: int
    text: str


def required_bytes(count: int, size: int) -> int:
    """The bytes of the rows of this many photographs at a size in pixels."""
    return count * size * size * 3


def size_text(count: int, size: int) -> str:
    """Such as `35,126 photographs: 5.3 GB at 224 px`."""
    photographs = "1 photograph" if count == 1 else f"{count:,} photographs"
    return f"{photographs}: {magnitude(required_bytes(count, size), 'B')} at {size} px"


def plan(
    mode: str,
    rows: DecodedRows,
    cache: Path,
    preprocessing: Preprocessing,
    contents: Collection[str],
) -> Plan:
    """What to do about these contents (sha256), of which `rows` are in the cache folder; writes
    nothing.

    Raises UserError where --cache is on and the rows have no room, or the folder can't be written.
    """
    wanted = set(contents)
    size = preprocessing.size
    if mode == OFF:
        return Plan(False, False, len(wanted), "--cache off: every epoch decodes the photographs.")
    missing = sum(sha256 not in rows for sha256 in wanted)
    said = f"decoded photographs in {cache}: {size_text(len(wanted), size)}"
    if not missing:
        return Plan(True, False, 0, f"{said}, all of them there.")
    needed = required_bytes(missing, size)
    there = f", {len(wanted) - missing:,} of them there" if missing < len(wanted) else ""
    if refusal := why_not(mode, cache, store_folder(cache, preprocessing), needed):
        return Plan(True, False, missing, f"{said}{there}. The others are not kept: {refusal}")
    return Plan(True, True, missing, f"{said}{there}.")


def why_not(mode: str, cache: Path, store: Path, needed: int) -> str:
    """Why rows of so many bytes should not be kept in a store, "" where they may be; writes
    nothing.

    Raises UserError where --cache is on and they have no room, or the folder can't be written.
    """
    if mode == ON:
        _require(cache, needed)
        return ""
    return "--cache is off." if mode == OFF else _why_not(cache, store, needed)


def _require(cache: Path, needed: int) -> None:
    """Raises UserError where the folder can't be written, or the disk lacks the room."""
    check_writable_folder(cache, "--cache_dir")
    free = _free(cache)
    if free < needed:
        raise UserError(
            f"--cache on: {cache} needs {magnitude(needed, 'B')}, and {magnitude(free, 'B')} are "
            "free. Free some space, name a folder on another disk with --cache_dir, or use --cache "
            "auto."
        )


def _why_not(cache: Path, store: Path, needed: int) -> str:
    """Why the store should not be filled of itself; "" where it may be."""
    try:
        if not is_writable(_existing(store)) or not _existing(store).is_dir():
            return f"{_existing(store)} can't be written."
        free = _free(cache)
    except OSError as error:
        return f"{error.strerror}."
    if free < TIMES_FREE * needed:
        return (
            f"{magnitude(free, 'B')} are free, and {TIMES_FREE} x {magnitude(needed, 'B')} should "
            "be. Name a folder on another disk with --cache_dir, or use --cache on."
        )
    return ""


def _free(folder: Path) -> int:
    """The bytes that are free on the disk of a folder that may not be there yet."""
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    whole = folder.absolute()
    return next(path for path in (whole, *whole.parents) if os.path.lexists(path))
