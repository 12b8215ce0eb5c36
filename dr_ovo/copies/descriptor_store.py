"""The rows of the descriptor cache: files by stamp, pictures by content, pairs by set of files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dr_ovo.caches.inspection import CACHE_ERRORS, Layout
from dr_ovo.caches.opening import open_cache
from dr_ovo.caches.signed_cache import SignedCache
from dr_ovo.copies.descriptor import DESCRIPTOR_VERSION
from dr_ovo.errors import MachineError

STORE_VERSION = 2  # of the tables; increase when their columns change
SETS_KEPT = 4  # sets of files with stored pairs; audits and trainings may list different files
TABLES = {
    "stamps": "(path TEXT PRIMARY KEY, size INTEGER, time INTEGER, changed INTEGER, sha256 TEXT, "
    "digest BLOB) WITHOUT ROWID",
    "pictures": "(sha256 TEXT PRIMARY KEY, width INTEGER, height INTEGER, descriptor BLOB, "
    "digest BLOB)",
    "pairs": "(key TEXT PRIMARY KEY, found TEXT, digest BLOB)",
}
EARLIER = frozenset({"files"})  # stamps, before they included the change time
OTHER_PAIRS = (
    f"DELETE FROM pairs WHERE rowid NOT IN "
    f"(SELECT rowid FROM pairs ORDER BY rowid DESC LIMIT {SETS_KEPT})"
)
Stamp = tuple[int, int, int]  # a file's size in bytes, times of the last write and change in ns
FileRow = tuple[str, int, int, int, str]  # its name in the cache, its stamp, its sha256
PictureRow = tuple[str, int, int, bytes]  # sha256, width, height, descriptor


class DescriptorStore:
    """An open cache of descriptors. Only what this user of this machine has measured is in it."""

    def __init__(self, cache: SignedCache) -> None:
        self._cache = cache

    def stamps(self, names: Sequence[str]) -> dict[str, tuple[Stamp, str]]:
        """Each of the files' names -> its stamp and sha256 when it was last read."""
        rows = self._cache.rows("stamps", "path", names)
        return {name: ((size, time, changed), sha256) for name, size, time, changed, sha256 in rows}

    def contents(self) -> frozenset[str]:
        """The sha256 of all described files, including files that no longer exist.

        Whether a description counts, only `pictures` tells.
        """
        return self._cache.unsigned("pictures", "sha256")

    def pictures(self, contents: Sequence[str]) -> Iterator[PictureRow]:
        """The rows of those of the `contents` that are in the cache."""
        for row in self._cache.rows("pictures", "sha256", contents):
            yield (row[0], row[1], row[2], row[3])

    def add(self, pictures: Iterable[PictureRow], files: Iterable[FileRow]) -> None:
        """Adds the rows, all or none."""
        self._cache.add({"pictures": pictures, "stamps": files})

    def pairs(self, key: str) -> str | None:
        """The text stored under `key`; None where there is none."""
        return next((str(found) for _, found in self._cache.rows("pairs", "key", [key])), None)

    def save_pairs(self, key: str, found: str) -> None:
        """Stores the text `found` under `key`, and deletes all but the SETS_KEPT latest keys."""
        self._cache.add({"pairs": [(key, found)]}, OTHER_PAIRS)


@contextmanager
def open_store(file: Path, *, check: bool = False, write: bool = True) -> Iterator[DescriptorStore]:
    """The open cache; see `open_cache`. Raises MachineError where SQLite fails."""
    version = 1000 * STORE_VERSION + DESCRIPTOR_VERSION
    layout = Layout("descriptors", version, TABLES, EARLIER)
    cache = open_cache(file, layout, check=check, write=write)
    try:
        yield DescriptorStore(cache)
    except CACHE_ERRORS as error:
        raise MachineError(
            f"The descriptor cache {file} could not be used: {error}. Free disk space, or delete "
            "the file, and run the command again."
        ) from error
    finally:
        cache.close()


def name_in(cache: Path, path: Path) -> str:
    """A file's name in the cache: its path relative to the cache, so that both can be moved."""
    return Path(os.path.relpath(path, cache.parent)).as_posix()


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file as it is now; None where there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    # Programs can't set the change time. It reveals a replaced file of the same size and date, as
    # from `cp -p` or an unpacked archive.
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def unchanged_files(store: DescriptorStore, names: Mapping[Path, str]) -> dict[Path, str]:
    """The sha256 of those files (path -> name in the cache) that are as when they were read."""
    stamps = store.stamps(list(names.values()))
    found = {}
    for path, name in names.items():
        stamp, sha256 = stamps.get(name, (None, ""))
        if stamp is not None and stamp == stamp_of(path):
            found[path] = sha256
    return found
