"""Reads the rows of a store, such as decoded photographs, from any number of threads; never wrong
ones."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np

from dr_ovo.caches.signed_cache import warn_once
from dr_ovo.decoded.about import mark_used
from dr_ovo.decoded.places import INDEX, ROWS, store_folder
from dr_ovo.decoded.row_file import RowFile, RowKind, pixels_of
from dr_ovo.decoded.row_index import Row, open_index, undo_unfinished
from dr_ovo.photographs.preprocessing import Preprocessing


class DecodedRows:
    """The network inputs of photographs by the sha256 of their files.

    Each row is checked whenever it is read: its crc32 always, the sha256 of its pixels at the
    first time. A row that fails is missing from then on, until it is repaired.
    """

    def __init__(self, rows: Mapping[str, Row], file: RowFile | None, path: Path) -> None:
        self._rows = rows
        self._file = file
        self._path = path
        self._certain: set[str] = set()
        self._bad: set[str] = set()

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._rows and sha256 not in self._bad

    def __len__(self) -> int:
        return len(self._rows)

    def quality(self, sha256: str) -> float | None:
        """The quality of a photograph (NaN: unknown, as it is too small); None without a row."""
        row = self._rows.get(sha256)
        return None if row is None else row.quality

    def get(self, sha256: str) -> np.ndarray | None:
        """The network input (size, size, 3) uint8 of a photograph; None where it is missing."""
        if self._file is None or sha256 not in self:
            return None
        out = self._file.kind.empty()
        return out if self.read_into(sha256, out) else None

    def read_into(self, sha256: str, out: np.ndarray) -> bool:
        """Reads the network input of a photograph into `out` (size, size, 3) uint8, contiguous.

        False where it is missing; what is in `out` counts for nothing then.
        """
        file = self._file
        if file is None or sha256 not in self:
            return False
        row = self._rows[sha256]
        check = row.has_crc_of if sha256 in self._certain else row.is_of
        if file.read_into(row.position, out) and check(out):
            self._certain.add(sha256)
            return True
        if self._file is not file:  # closed meanwhile
            return False
        self._bad.add(sha256)
        warn_once(f"{self._path} is damaged: what has no whole row in it is made anew.")
        return False

    def repair(self, sha256: str, pixels: np.ndarray) -> None:
        """Writes a damaged row again, if these are its pixels and the file can be written."""
        row = self._rows.get(sha256)
        if sha256 not in self._bad or row is None or self._file is None or not row.is_of(pixels):
            return
        with suppress(OSError), RowFile(self._path, self._file.kind, write=True) as file:
            if file.identity == self._file.identity:
                file.write(row.position, pixels)
                self._bad.discard(sha256)

    def close(self) -> None:
        """Closes the file; no row can be read any more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> DecodedRows:
        return self

    def __exit__(
        self, _kind: object, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def open_rows(cache: Path, preprocessing: Preprocessing, *, used: bool = True) -> DecodedRows:
    """The rows of a cache folder for this preprocessing; none where nothing can be read.

    `used`: records that the rows were used now. Nothing else is written, but what a builder that
    was killed left half done is undone.
    """
    return open_store(store_folder(cache, preprocessing), pixels_of(preprocessing.size), used=used)


def open_store(store: Path, kind: RowKind, *, used: bool = True) -> DecodedRows:
    """The rows in the folder of a store, as `open_rows` has them."""
    path = store / ROWS
    try:
        if store.is_symlink() or not (store / INDEX).exists():
            return DecodedRows({}, None, path)
        file = RowFile(path, kind)
    except OSError:
        return DecodedRows({}, None, path)
    try:
        undo_unfinished(store)
        with open_index(store, write=False) as index:
            rows = index.rows(file.count())
    except BaseException:
        file.close()
        raise
    if used:
        mark_used(store)
    return DecodedRows(rows, file, path)
