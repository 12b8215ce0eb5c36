"""A file of rows, each an array of one shape, such as the pixels of a photograph; read and written
without a memory map, which would turn a full disk or a cut file into the death of the process."""

from __future__ import annotations

import errno
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

NO_ROOM_AHEAD = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
ZEROS = 1 << 20  # bytes written at once where a file system can't reserve room
NEW_FILE = 0o644


@dataclass(frozen=True)
class RowKind:
    """What the rows of a file are: arrays of one shape and number format."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Those of a row."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def empty(self) -> np.ndarray:
        """A row to read into."""
        return np.empty(self.shape, self.dtype)


def pixels_of(side: int) -> RowKind:
    """Rows of network inputs (side, side, 3) uint8."""
    return RowKind((side, side, 3), "uint8")


class RowFile:
    """The rows in a file, all of a `kind`, by position from 0 on.

    Opened to read, or also to `write`; to `create`, the file is made where there is none. Raises
    OSError for a link, a pipe, and whatever else is no file of its own.
    """

    def __init__(
        self, file: Path, kind: RowKind, *, write: bool = False, create: bool = False
    ) -> None:
        self.kind, self.row_bytes = kind, kind.bytes
        # Opening a pipe would wait for its other end.
        flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        flags |= os.O_RDWR if write or create else os.O_RDONLY
        flags |= os.O_CREAT if create else 0
        self._descriptor = os.open(file, flags, NEW_FILE)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            self.close()
            raise OSError(errno.EINVAL, "is not a file of its own", str(file))
        self.identity = status.st_dev, status.st_ino

    def count(self) -> int:
        """The number of whole rows for which the file has room."""
        return os.fstat(self._descriptor).st_size // self.row_bytes

    def read_into(self, position: int, out: np.ndarray) -> bool:
        """Reads a row into `out`, contiguous and of the rows' kind; False where the file ends
        before it does, or the disk can't read it."""
        buffer = out.data.cast("B")
        start, done = position * self.row_bytes, 0
        try:
            while done < self.row_bytes:
                got = os.preadv(self._descriptor, [buffer[done:]], start + done)
                if not got:
                    return False
                done += got
        except OSError:
            return False
        return True

    def write(self, position: int, row: np.ndarray) -> None:
        """Writes a row. Raises OSError if the disk refuses."""
        assert row.shape == self.kind.shape
        assert row.dtype == self.kind.dtype
        buffer = np.ascontiguousarray(row).data.cast("B")
        start, done = position * self.row_bytes, 0
        while done < self.row_bytes:
            done += os.pwrite(self._descriptor, buffer[done:], start + done)

    def reserve(self, count: int) -> None:
        """Grows the file to this number of rows, with room on the disk. Raises OSError."""
        size, wanted = os.fstat(self._descriptor).st_size, count * self.row_bytes
        if wanted <= size:
            return
        try:
            os.posix_fallocate(self._descriptor, size, wanted - size)
        except AttributeError:  # not on every system
            self._fill(size, wanted)
        except OSError as error:
            if error.errno not in NO_ROOM_AHEAD:
                raise
            self._fill(size, wanted)

    def _fill(self, start: int, end: int) -> None:
        while start < end:
            start += os.pwrite(self._descriptor, bytes(min(ZEROS, end - start)), start)

    def shrink(self, count: int) -> None:
        """Cuts off what is behind this number of rows."""
        if os.fstat(self._descriptor).st_size > count * self.row_bytes:
            os.ftruncate(self._descriptor, count * self.row_bytes)

    def flush(self) -> None:
        """Forces what was written, by any process, onto the disk. Raises OSError."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def __enter__(self) -> RowFile:
        return self

    def __exit__(
        self, _kind: object, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()
