"""A file of rows of pixels, one a photograph, all of one size; read and written without a memory
map, which would turn a full disk or a cut file into the death of the process."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType

import numpy as np

NO_ROOM_AHEAD = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
ZEROS = 1 << 20  # bytes written at once where a file system can't reserve room
NEW_FILE = 0o644


class RowFile:
    """The rows in a file, each (side, side, 3) uint8, by position from 0 on.

    Opened to read, or also to `write`; to `create`, the file is made where there is none. Raises
    OSError for a link, a pipe, and whatever else is no file of its own.
    """

    def __init__(self, file: Path, side: int, *, write: bool = False, create: bool = False) -> None:
        self.shape = (side, side, 3)
        self.row_bytes = side * side * 3
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
        """Reads a row into `out` (side, side, 3) uint8, contiguous; False where the file ends
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

    def write(self, position: int, pixels: np.ndarray) -> None:
        """Writes a row. Raises OSError if the disk refuses."""
        assert pixels.shape == self.shape
        assert pixels.dtype == np.uint8
        buffer = np.ascontiguousarray(pixels).data.cast("B")
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
