"""The cache of an audit: where it is, and the SQLite file of measurements by sha256."""

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
MAX_VARIABLES = 500  # in one query, which every build of SQLite accepts


def cache_folder(root: Path, output: Path | None) -> Path | None:
    """The folder for caches: inside the dataset; or inside `output` if the dataset is read-only or
    has a cache of another user that can be neither written nor read."""
    own = root / FOLDER
    if is_writable(root) and not _is_closed(own):
        return own
    return output / FOLDER if output is not None else None


def _is_closed(folder: Path) -> bool:
    """Whether the cache folder exists, can't be written, and has nothing that can be read."""
    if not folder.exists() or is_writable(folder):
        return False
    return not (os.access(folder, os.X_OK) and os.access(folder / DESCRIPTORS, os.R_OK))


@contextlib.contextmanager
def temporary_copy(folder: Path | None) -> Iterator[Path]:
    """A temporary copy of a cache folder, for an audit that must not write to the dataset."""
    with tempfile.TemporaryDirectory(prefix="dr_ovo_audit_") as name:
        for file in (DESCRIPTORS, MEASUREMENTS):
            # What is missing or unreadable is measured again.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                if folder is not None:
                    shutil.copyfile(folder / file, Path(name, file))
        yield Path(name)


class MeasurementCache:
    """Vectors by kind and sha256 of a file's content, in an SQLite file; in memory without one.

    A cache that can't be used never stops the audit: it is ignored with a warning.
    """

    def __init__(self, file: Path | None, version: str) -> None:
        self._store = _open(file)
        self._version = version

    def get(self, kind: str, contents: Sequence[str]) -> dict[str, np.ndarray]:
        """The vectors (K,) of those of the `contents` that are in the cache."""
        found: dict[str, np.ndarray] = {}
        for start in range(0, len(contents), MAX_VARIABLES):
            some = contents[start : start + MAX_VARIABLES]
            variables = ",".join("?" * len(some))
            rows = self._store.execute(
                f"SELECT sha256, vector FROM measured WHERE kind = ? AND sha256 IN ({variables})",
                (f"{kind} {self._version}", *some),
            )
            found |= {sha256: np.frombuffer(blob, np.float64) for sha256, blob in rows}
        return found

    def put(self, kind: str, vectors: Mapping[str, np.ndarray]) -> None:
        """Stores the vectors, all or none."""
        rows = [(f"{kind} {self._version}", sha, v.tobytes()) for sha, v in vectors.items()]
        try:
            with self._store:
                self._store.executemany("INSERT OR REPLACE INTO measured VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            log.warning("the audit's measurements could not be cached (%s)", error)

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
            log.warning("%s can't be used (%s): everything is measured again.", file, error)
        else:
            return store
    store = sqlite3.connect(":memory:")
    store.execute(_TABLE)
    return store
