"""Where an audit keeps what it measured, so that the next one takes seconds."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from dr_ovo.errors import log
from dr_ovo.files import is_writable

FOLDER = ".audit"
DESCRIPTORS, MEASUREMENTS = "descriptors.sqlite", "measurements.sqlite"
KEPT_AT_ONCE = 500  # variables that every SQLite takes in one query


def cache_folder(root: Path, output: Path | None) -> Path | None:
    """The folder for caches: inside the dataset, or inside `output` where that is read-only, or
    where another user has a cache there that we may neither write nor read."""
    own = root / FOLDER
    if is_writable(root) and not _is_closed(own):
        return own
    return output / FOLDER if output is not None else None


def _is_closed(folder: Path) -> bool:
    """Whether a cache folder is there that may not be written, with nothing in it to read."""
    if not folder.exists() or is_writable(folder):
        return False
    return not (os.access(folder, os.X_OK) and os.access(folder / DESCRIPTORS, os.R_OK))


@contextlib.contextmanager
def borrowed(folder: Path | None) -> Iterator[Path]:
    """A copy of a cache folder that goes with the block: an audit that must write nothing."""
    with tempfile.TemporaryDirectory(prefix="dr_ovo_audit_") as name:
        for file in (DESCRIPTORS, MEASUREMENTS):
            # What is not there, or not for us to read, is measured anew.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                if folder is not None:
                    shutil.copyfile(folder / file, Path(name, file))
        yield Path(name)


class MeasurementCache:
    """Vectors by (table, sha256 of a file's content) in an SQLite file; in memory without one.

    A cache that can't be used costs time, never the audit: it is left aside with a warning.
    """

    def __init__(self, file: Path | None, version: str) -> None:
        self._store = _open(file)
        self._version = version

    def get(self, kind: str, contents: Sequence[str]) -> dict[str, np.ndarray]:
        """The vectors (K,) that are held of `contents`."""
        found: dict[str, np.ndarray] = {}
        for start in range(0, len(contents), KEPT_AT_ONCE):
            some = contents[start : start + KEPT_AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = self._store.execute(
                f"SELECT sha256, vector FROM measured WHERE kind = ? AND sha256 IN ({marks})",
                (f"{kind} {self._version}", *some),
            )
            found |= {sha256: np.frombuffer(blob, np.float64) for sha256, blob in rows}
        return found

    def put(self, kind: str, vectors: Mapping[str, np.ndarray]) -> None:
        """Keeps the vectors, all or none."""
        rows = [(f"{kind} {self._version}", sha, v.tobytes()) for sha, v in vectors.items()]
        try:
            with self._store:
                self._store.executemany("INSERT OR REPLACE INTO measured VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            log.warning("the audit's measurements could not be kept (%s)", error)

    def close(self) -> None:
        """Closes the file."""
        self._store.close()


_TABLE = (
    "CREATE TABLE IF NOT EXISTS measured "
    "(kind TEXT, sha256 TEXT, vector BLOB, PRIMARY KEY (kind, sha256))"
)


def _open(file: Path | None) -> sqlite3.Connection:
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            store = sqlite3.connect(file, timeout=60)
            store.execute(_TABLE)
            store.execute("SELECT kind, sha256, vector FROM measured LIMIT 1")
        except (OSError, sqlite3.Error) as error:
            log.warning("%s can't be used (%s): the audit measures anew.", file, error)
        else:
            return store
    store = sqlite3.connect(":memory:")
    store.execute(_TABLE)
    return store
