"""Arrays of a .npz file of NumPy, each checked against the bytes that the file has for it."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dr_ovo.safe_files.archive import Part, read_parts
from dr_ovo.safe_files.problems import DamagedError, ExcessError, ObjectsError

ALWAYS = 2**28  # bytes that arrays may take, however small the file is
TIMES = 16  # how often its size they may take beyond that; numbers hardly shrink
KINDS = "biufU"  # of NumPy's types: yes and no, whole numbers, fractions, text
MAX_HEADER = 10_000  # bytes, NumPy's own limit
MAGIC = b"\x93NUMPY"
MAX_DIMENSIONS = 8
LAST_CHARACTER = 0x10FFFF  # of Unicode


@dataclass(frozen=True)
class Arrays:
    """The arrays of an open .npz file, read when they are asked for."""

    file: BinaryIO
    parts: dict[str, Part]

    def read(self, name: str) -> np.ndarray:
        """An array. Raises RefusedFileError for one that holds objects, or is not what it says."""
        part = self.parts[name]
        chunks = part.chunks(self.file)
        begin = b""
        for chunk in chunks:
            begin += chunk
            if len(begin) > MAX_HEADER:
                break
        kind, shape, by_columns, used = _header(name, begin)
        count = math.prod(shape)
        if used + count * kind.itemsize != part.size:
            raise DamagedError(
                f"its {name} has {part.size - used} bytes, which are not {kind} of shape {shape}"
            )
        flat = np.empty(count, kind)
        room, at = flat.view(np.uint8), 0
        for data in itertools.chain([begin[used:]], chunks):
            room[at : at + len(data)] = np.frombuffer(data, np.uint8)
            at += len(data)
        if count and _has_no_meaning(flat):
            raise DamagedError(f"its {name} holds bytes that are no {kind}")
        return flat.reshape(shape, order="F" if by_columns else "C")


@contextmanager
def open_npz(path: Path) -> Iterator[Arrays]:
    """The arrays of a file. Raises RefusedFileError for a file that is none, or whose arrays would
    take far more memory than it has bytes; and OSError."""
    with path.open("rb") as file:
        parts: dict[str, Part] = {}
        for part in read_parts(file, compressed=True):
            name = part.name.removesuffix(".npy")
            if name in parts or name == part.name:
                raise DamagedError(f"it holds {part.name[:80]!r}, twice or not as an array")
            parts[name] = part
        asked = sum(part.size for part in parts.values())
        most = max(ALWAYS, TIMES * file.seek(0, io.SEEK_END))
        if asked > most:
            raise ExcessError(
                f"its arrays would take {asked / 2**30:.1f} GiB, more than {most / 2**30:.2f}"
            )
        yield Arrays(file, parts)


def is_single_array(path: Path) -> bool:
    """Whether a file begins as one array of NumPy (.npy), which is no archive of them."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _header(name: str, begin: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    """(kind of number, shape, whether its columns come first, bytes of the header)."""
    file = io.BytesIO(begin)
    try:
        version = np.lib.format.read_magic(file)
        reading = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, by_columns, kind = reading(file, MAX_HEADER)
    except Exception as error:  # of the tokenizer, the parser of literals, or NumPy
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DamagedError(f"its {name} does not begin as an array ({first[:80]})") from None
    if kind.hasobject or kind.names is not None:
        raise ObjectsError([f"{name}: {str(kind)[:80]}"])
    if kind.kind not in KINDS or kind.subdtype is not None or not kind.itemsize:
        raise DamagedError(f"its {name} is {str(kind)[:80]}; expected plain numbers or text")
    if len(shape) > MAX_DIMENSIONS or not all(0 <= size < 2**48 for size in shape):
        raise DamagedError(f"its {name} has the shape {str(shape)[:80]}")
    return kind, shape, by_columns, file.tell()


def _has_no_meaning(flat: np.ndarray) -> bool:
    """Whether values are none of their kind: no character, neither yes nor no."""
    if flat.dtype.kind == "U":
        return bool(flat.view(flat.dtype.byteorder + "u4").max() > LAST_CHARACTER)
    return flat.dtype.kind == "b" and bool(flat.view(np.uint8).max() > 1)
