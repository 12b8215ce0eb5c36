"""The cache of an audit: where it is, and the SQLite file of measurements by sha256."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from dr_ovo.caches.inspection import Layout, unlike_a_file
from dr_ovo.caches.opening import open_cache
from dr_ovo.copies.descriptor_store import open_store
from dr_ovo.files import is_writable

FOLDER = ".audit"
DESCRIPTORS, MEASUREMENTS = "descriptors.sqlite", "measurements.sqlite"
TABLE = "(kind TEXT, sha256 TEXT, vector BLOB, digest BLOB, PRIMARY KEY (kind, sha256))"
LAYOUT = Layout("measurements", 1, {"measured": TABLE})


def cache_folder(root: Path, output: Path | None) -> Path | None:
    """The folder for caches: inside the dataset; or inside `output` if the dataset is read-only,
    has a cache of another user that can be neither written nor read, or a link in its place."""
    own = root / FOLDER
    if is_writable(root) and not _is_closed(own):
        return own
    return output / FOLDER if output is not None else None


def _is_closed(folder: Path) -> bool:
    """Whether the cache folder exists, can't be written, and has nothing that can be read; or is a
    link, which may lead anywhere, or a file."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        return True
    if not folder.exists() or is_writable(folder):
        return False
    return not (os.access(folder, os.X_OK) and os.access(folder / DESCRIPTORS, os.R_OK))


@contextlib.contextmanager
def temporary_copy(folder: Path | None) -> Iterator[Path]:
    """A temporary copy of a cache folder, for an audit that must not write to the dataset."""
    with tempfile.TemporaryDirectory(prefix="dr_ovo_audit_") as name:
        copy = Path(name)
        for file in (DESCRIPTORS, MEASUREMENTS):
            # What is missing or unreadable is measured again.
            try:
                if folder is not None and not unlike_a_file(folder / file):
                    shutil.copyfile(folder / file, copy / file)
            except OSError:
                (copy / file).unlink(missing_ok=True)
        if folder is not None and (copy / DESCRIPTORS).is_file():
            with open_store(copy / DESCRIPTORS, check=True) as store:
                store.rename(folder / DESCRIPTORS, copy / DESCRIPTORS)
        yield copy


class MeasurementCache:
    """Vectors by kind and sha256 of a file's content, in an SQLite file; in memory without one.

    A cache that can't be used never stops the audit: it is ignored with a warning.
    """

    def __init__(self, file: Path | None, version: str) -> None:
        self._store = open_cache(file, LAYOUT, check=True)
        self._version = version

    def get(self, kind: str, contents: Sequence[str]) -> dict[str, np.ndarray]:
        """The vectors (K,) of those of the `contents` that are in the cache."""
        rows = self._store.rows("measured", "sha256", contents, kind=f"{kind} {self._version}")
        return {sha256: np.frombuffer(blob, np.float64) for _, sha256, blob in rows}

    def put(self, kind: str, vectors: Mapping[str, np.ndarray]) -> None:
        """Stores the vectors, all or none."""
        rows = [(f"{kind} {self._version}", sha, v.tobytes()) for sha, v in vectors.items()]
        self._store.add({"measured": rows})

    def close(self) -> None:
        """Closes the file."""
        self._store.close()
