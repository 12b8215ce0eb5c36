"""Atomic file writes (bytes, text, JSON), whole or not at all; sha256; is a path writable?"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dr_ovo.errors import MachineError, disk_advice

NOT_FOR_FOLDERS = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # of file systems of networks


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A path beside `path` to write to; it becomes `path` when the block ends without an error.

    The path ends in `.part`, so that no search for `*.pth` or `*.npz` finds an unfinished file,
    and is always the same, so that what killed processes left is overwritten and doesn't pile up.
    Writers that choose the format by the suffix need the format given explicitly.

    Raises MachineError if the disk refuses (full, read-only, gone). Whatever ends the block early,
    the previous file at `path` is untouched and the part is removed.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        flush(part)
        part.replace(path)
        flush(path.parent)
    except OSError as error:
        raise MachineError(
            f"{path} could not be written: {error.strerror or error}. The previous file, if "
            f"any, is kept. {disk_advice(error.errno)}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def atomic_write_bytes(path: Path | str, data: bytes) -> None:
    """Write `data` to `path`; raises MachineError as `atomic_path` does."""
    with atomic_path(path) as part:
        part.write_bytes(data)


def atomic_write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` in UTF-8; raises MachineError as `atomic_path` does.

    Bytes of file names that are no text (lone surrogates) become escapes such as `\\udce9`, which
    JSON reads as what they were.
    """
    atomic_write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path | str, obj: Any) -> None:
    """Write `obj` to `path` as JSON; raises MachineError as `atomic_path` does.

    Raises ValueError for NaN and infinity (only Python's JSON reader accepts them) and TypeError
    for anything that is not a plain Python value, before the file is touched.
    """
    text = json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False)
    atomic_write_text(path, text + "\n")


def make_folder(folder: Path, *, parents: bool = True) -> None:
    """Make a folder, and the `parents` that it lacks, so that a power failure does not undo it.

    Raises OSError where one can't be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=parents, exist_ok=True)
    for path in missing:
        flush(path.parent)


def flush(path: Path) -> None:
    """Force what was written onto the disk; for a folder, its entries (a rename, a hard link).

    Raises OSError if the disk refuses. A file system that can't do this for folders is let be.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_FOR_FOLDERS or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """The sha256 of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


Written = tuple[int, int, int]  # size in bytes, time of the last write in ns, inode


def last_written(path: Path) -> Written | None:
    """What changes when a file is written or replaced; None where there is none.

    Links to it, and new rights, change neither.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


_known_sha256: dict[tuple[Path, Written | None], str] = {}


def known_sha256(path: Path) -> str:
    """The sha256 of a large file, computed once in a process unless it was written since."""
    key = (path.resolve(), last_written(path))
    if key not in _known_sha256:
        _known_sha256[key] = file_sha256(path)
    return _known_sha256[key]


def is_writable(path: Path) -> bool:
    """Whether a folder or file may be written into, and is not marked read-only."""
    # root may write anywhere; a folder marked read-only is meant to stay unchanged all the same.
    write_bits = path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    return bool(write_bits) and os.access(path, os.W_OK)
