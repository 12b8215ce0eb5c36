"""The index of decoded photographs: which row holds which content, with its checksums and quality.

Only rows that this user of this machine has signed count (see dr_ovo/caches). The signature covers
a digest of the pixels, so that nobody can put other pixels under a signed row.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dr_ovo.caches.inspection import Layout
from dr_ovo.caches.opening import open_cache
from dr_ovo.caches.signed_cache import SignedCache
from dr_ovo.decoded.build_lock import build_lock
from dr_ovo.decoded.places import INDEX
from dr_ovo.errors import MachineError, UserError
from dr_ovo.files import is_writable

TABLE = (
    "(sha256 TEXT PRIMARY KEY, position INTEGER, crc32 INTEGER, pixels BLOB, quality REAL, "
    "digest BLOB)"
)
VERSION = 1


@dataclass(frozen=True)
class Row:
    """Where the pixels of a photograph are, their crc32 and sha256, and its quality (NaN: unknown,
    as it is too small)."""

    position: int
    crc32: int
    pixels: bytes
    quality: float

    def is_of(self, pixels: np.ndarray) -> bool:
        """Whether these are the pixels (contiguous), whoever may have changed them."""
        return self.has_crc_of(pixels) and _sha256(pixels) == self.pixels

    def has_crc_of(self, pixels: np.ndarray) -> bool:
        """Whether the pixels (contiguous) are undamaged; takes a third of the time of `is_of`."""
        return zlib.crc32(pixels.data) == self.crc32


def row_of(position: int, pixels: np.ndarray, quality: float) -> Row:
    """The row at a position with these pixels (contiguous)."""
    return Row(position, zlib.crc32(pixels.data), _sha256(pixels), float(quality))


def _sha256(pixels: np.ndarray) -> bytes:
    return hashlib.sha256(pixels.data.cast("B")).digest()


class RowIndex:
    """An open index; `refusal` is why nothing can be added, "" where it can."""

    def __init__(self, cache: SignedCache) -> None:
        self._cache = cache

    @property
    def refusal(self) -> str:
        """Why nothing can be added; "" where it can."""
        return self._cache.refusal

    def contents(self) -> frozenset[str]:
        """The sha256 of all photographs, whoever added them."""
        return self._cache.unsigned("rows", "sha256")

    def rows(self, capacity: int) -> dict[str, Row]:
        """All signed rows by the sha256 of the file, less those outside a file of `capacity` rows,
        and those that share a position, of which none can be told to be right."""
        found = {
            sha256: Row(position, crc32, pixels, math.nan if quality is None else quality)
            for sha256, position, crc32, pixels, quality in self._cache.rows(
                "rows", "sha256", sorted(self.contents())
            )
            if 0 <= position < capacity
        }
        times = Counter(row.position for row in found.values())
        return {sha256: row for sha256, row in found.items() if times[row.position] == 1}

    def add(self, rows: Mapping[str, Row]) -> None:
        """Adds rows by the sha256 of the file, all or none, in place of others at their positions;
        see `refusal`."""
        if rows:
            columns = [_columns(sha256, row) for sha256, row in rows.items()]
            self._cache.add({"rows": columns}, _others_at(rows))


def _columns(sha256: str, row: Row) -> tuple[object, ...]:
    # SQLite has no NaN.
    quality = None if math.isnan(row.quality) else row.quality
    return (sha256, row.position, row.crc32, row.pixels, quality)


def _others_at(rows: Mapping[str, Row]) -> str:
    """SQL that deletes other entries at the positions of these rows, such as of a file of rows that
    was cut off."""
    positions = ",".join(str(row.position) for row in rows.values())
    contents = ",".join(f"'{sha256}'" for sha256 in rows)
    return f"DELETE FROM rows WHERE position IN ({positions}) AND sha256 NOT IN ({contents})"


def undo_unfinished(store: Path) -> None:
    """Undoes what a builder that was killed left half done in the index, as SQLite shows nothing to
    those who only read until then.

    Does nothing while a builder is at work, nor where the store can't be written.
    """
    if not (store / f"{INDEX}-journal").exists() or not is_writable(store):
        return
    with (
        suppress(OSError, UserError, MachineError),
        build_lock(store, wait=False),
        open_index(store, write=True),
    ):
        pass


@contextmanager
def open_index(store: Path, *, write: bool) -> Iterator[RowIndex]:
    """The index in the folder of a store, created to `write`; empty where it can't be read.

    Raises UserError for a path where none can be created.
    """
    # Named after the store: the rows of one count in no other.
    layout = Layout(f"decoded {store.name}", VERSION, {"rows": TABLE})
    cache = open_cache(store / INDEX, layout, check=write, write=write)
    try:
        yield RowIndex(cache)
    finally:
        cache.close()
