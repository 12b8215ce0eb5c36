"""A job of the builder: reads a photograph, decodes it, and writes its row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dr_ovo.decoded.processes.process import errors_are_damage
from dr_ovo.decoded.row_file import RowFile, pixels_of
from dr_ovo.decoded.row_index import Row, row_of
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import read_bytes, room_for
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.quality import Quality

# The content of a file -> network input (size, size, 3) uint8, and its quality.
Decode = Callable[[bytes, Preprocessing], tuple[np.ndarray, Quality]]
_open_files: dict[Path, RowFile] = {}


@dataclass(frozen=True)
class Task:
    """What all jobs have in common: `file` is the file of rows."""

    file: Path
    preprocessing: Preprocessing
    decode: Decode


@dataclass(frozen=True)
class Job:
    """A file, the sha256 that its content had, and the position for its row."""

    path: Path
    sha256: str
    position: int


@dataclass(frozen=True)
class Outcome:
    """The `row` that was written, or why there is none: `damage` of the file, another content than
    expected (`changed`), or a disk that refused (`refusal`)."""

    row: Row | None = None
    damage: str = ""
    changed: bool = False
    refusal: str = ""


def decode_row(task: Task, job: Job) -> Outcome:
    """Decodes a file and writes its row."""
    try:
        data = read_bytes(job.path)
        if hashlib.sha256(data).hexdigest() != job.sha256:
            return Outcome(changed=True)
        with errors_are_damage(), room_for(data, task.preprocessing.size):
            pixels, quality = task.decode(data, task.preprocessing)
    except DamagedImage as error:
        return Outcome(damage=str(error))
    try:
        _rows(task.file, task.preprocessing.size).write(job.position, pixels)
    except OSError as error:
        return Outcome(refusal=str(error.strerror))
    return Outcome(row_of(job.position, np.ascontiguousarray(pixels), quality.score))


def _rows(file: Path, side: int) -> RowFile:
    if file not in _open_files:
        _open_files[file] = RowFile(file, pixels_of(side), write=True)
    return _open_files[file]


def close_rows() -> None:
    """Closes the files of rows that `decode_row` has opened."""
    while _open_files:
        _open_files.popitem()[1].close()
