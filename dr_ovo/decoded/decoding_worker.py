"""What a decoding process does: reads a photograph, decodes it, and writes its row.

It loads neither torch nor timm, has a limit of memory, and ends with the process that started it.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

from dr_ovo.decoded.row_file import RowFile
from dr_ovo.decoded.row_index import Row, row_of
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import LARGE_PIXELS, decoded_pixels, read_bytes
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.quality import Quality

# The content of a file -> network input (size, size, 3) uint8, and its quality.
Decode = Callable[[bytes, Preprocessing], tuple[np.ndarray, Quality]]
STATM = Path("/proc/self/statm")
_large_pictures: AbstractContextManager[object] = nullcontext()
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


def start(leash: Connection, large: AbstractContextManager[object], memory: int) -> None:
    """Prepares the process. It ends when the other end of `leash` is closed, also by the death of
    the process that holds it. Inside `large` large pictures are decoded. `memory`: bytes that it
    may take beyond those that it has now."""
    global _large_pictures
    _large_pictures = large
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(leash,), daemon=True).start()
    _limit_memory(memory)


def _end_with(leash: Connection) -> None:
    with suppress(EOFError, OSError):
        leash.recv_bytes()
    os._exit(1)


def _limit_memory(more: int) -> None:
    try:
        pages = int(STATM.read_text().split()[0])
    except OSError:  # only Linux tells
        return
    limits = [pages * os.sysconf("SC_PAGE_SIZE") + more, *resource.getrlimit(resource.RLIMIT_AS)]
    soft = min(limit for limit in limits if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (soft, limits[2]))


def is_up() -> bool:
    """True, from a process that has started."""
    return True


def decode_row(task: Task, job: Job) -> Outcome:
    """Decodes a file and writes its row."""
    try:
        data = read_bytes(job.path)
        if hashlib.sha256(data).hexdigest() != job.sha256:
            return Outcome(changed=True)
        large = decoded_pixels(data, task.preprocessing.size) > LARGE_PIXELS
        with _large_pictures if large else nullcontext():
            pixels, quality = task.decode(data, task.preprocessing)
    except DamagedImage as error:
        return Outcome(damage=str(error))
    except MemoryError:
        return Outcome(damage="can't be decoded in the memory that a decoding process may take")
    except cv2.error as error:
        return Outcome(damage=f"can't be decoded: {error.err}")
    try:
        _rows(task.file, task.preprocessing.size).write(job.position, pixels)
    except OSError as error:
        return Outcome(refusal=str(error.strerror))
    return Outcome(row_of(job.position, np.ascontiguousarray(pixels), quality.score))


def _rows(file: Path, side: int) -> RowFile:
    if file not in _open_files:
        _open_files[file] = RowFile(file, side, write=True)
    return _open_files[file]


def close_rows() -> None:
    """Closes the files of rows that `decode_row` has opened."""
    while _open_files:
        _open_files.popitem()[1].close()
