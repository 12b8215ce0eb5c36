"""The rows of the descriptor cache: files by stamp, pictures and verdicts by content, pairs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from dr_ovo.caches.inspection import CACHE_ERRORS, Layout
from dr_ovo.caches.opening import open_cache
from dr_ovo.caches.signed_cache import SignedCache
from dr_ovo.copies.descriptor import DESCRIPTOR_VERSION
from dr_ovo.errors import MachineError
from dr_ovo.photographs.content_check import JUDGE, Verdict

STORE_VERSION = 2  # of the tables; increase when their columns change
SQLITE_INTEGERS = 2**63  # its integers have 64 bits with a sign; dates and inodes may be larger
SETS_KEPT = 4  # sets of files with stored pairs; audits and trainings may list different files
TABLES = {
    "file_stamps": "(path TEXT PRIMARY KEY, size INTEGER, time INTEGER, changed INTEGER, "
    "inode INTEGER, sha256 TEXT, digest BLOB) WITHOUT ROWID",
    "pictures": "(sha256 TEXT PRIMARY KEY, width INTEGER, height INTEGER, descriptor BLOB, "
    "digest BLOB)",
    "verdicts": "(sha256 TEXT PRIMARY KEY, judge TEXT, pixels INTEGER, damage TEXT, "
    "decodes INTEGER, remark TEXT, digest BLOB)",
    "pairs": "(key TEXT PRIMARY KEY, found TEXT, digest BLOB)",
}
# Stamps, before they included the change time, and before they included the inode.
EARLIER = frozenset({"files", "stamps"})
OTHER_PAIRS = (
    f"DELETE FROM pairs WHERE rowid NOT IN "
    f"(SELECT rowid FROM pairs ORDER BY rowid DESC LIMIT {SETS_KEPT})"
)
# A file's size in bytes, times of the last write and change in ns, number in its file system.
Stamp = tuple[int, int, int, int]
NO_STAMP: Stamp = (0, 0, 0, 0)
FileRow = tuple[str, int, int, int, int, str]  # its name in the cache, its stamp, its sha256
PictureRow = tuple[str, int, int, bytes]  # sha256, width, height, descriptor


class DescriptorStore:
    """An open cache of descriptors. Only what this user of this machine has measured is in it."""

    def __init__(self, cache: SignedCache) -> None:
        self._cache = cache

    def stamps(self, names: Sequence[str]) -> dict[str, tuple[Stamp, str]]:
        """Each of the files' names -> its stamp and sha256 when it was last read."""
        rows = self._cache.rows("file_stamps", "path", names)
        return {
            name: ((size, time, changed, inode), sha256)
            for name, size, time, changed, inode, sha256 in rows
        }

    def contents(self) -> frozenset[str]:
        """The sha256 of all described files, including files that no longer exist.

        Whether a description counts, only `pictures` tells.
        """
        return self._cache.unsigned("pictures", "sha256")

    def pictures(self, contents: Sequence[str]) -> Iterator[PictureRow]:
        """The rows of those of the `contents` that are in the cache."""
        for row in self._cache.rows("pictures", "sha256", contents):
            yield (row[0], row[1], row[2], row[3])

    def judged(self) -> frozenset[str]:
        """The sha256 of all contents with a verdict; whether it counts, only `verdicts` tells."""
        return self._cache.unsigned("verdicts", "sha256")

    def verdicts(self, contents: Sequence[str]) -> dict[str, Verdict]:
        """The verdicts on those of the `contents` (sha256) that today's judge has seen."""
        return {
            sha256: Verdict(pixels, damage, bool(decodes), remark)
            for sha256, judge, pixels, damage, decodes, remark in self._cache.rows(
                "verdicts", "sha256", contents
            )
            if judge == JUDGE
        }

    def add(
        self,
        pictures: Iterable[PictureRow],
        files: Iterable[FileRow],
        verdicts: Mapping[str, Verdict] | None = None,
    ) -> None:
        """Adds the rows, and the verdicts by sha256, all or none."""
        judged = [
            (sha256, JUDGE, verdict.pixels, verdict.damage, int(verdict.decodes), verdict.remark)
            for sha256, verdict in (verdicts or {}).items()
            if not verdict.too_large  # which depends on the limit
        ]
        self._cache.add({"pictures": pictures, "file_stamps": files, "verdicts": judged})

    def rename(self, earlier: Path, cache: Path) -> None:
        """Adds the stamps of a cache that was copied from `earlier`, under their names in `cache`,
        its new place."""
        names = sorted(self._cache.unsigned("file_stamps", "path"))
        stamps = self.stamps(names).items()
        self.add(
            [], [(name_in(cache, _named(earlier, n)), *stamp, sha) for n, (stamp, sha) in stamps]
        )

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
    """A file's name in the cache: its path relative to the cache, so that both can be moved.

    Quoted as in a URL: SQLite takes no text that is not UTF-8, and a folder's name need not be.
    """
    return quote(os.fsencode(os.path.relpath(path, cache.parent)))


def _named(cache: Path, name: str) -> Path:
    """The path of the file with this name in the cache."""
    return cache.parent / os.fsdecode(unquote_to_bytes(name))


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file as it is now; None where there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    # Programs can't set the change time. It reveals a replaced file of the same size and date, as
    # from `cp -p` or an unpacked archive. The inode reveals files that changed places with their
    # folders, whose names changed and whose times did not. The device is left out: it changes when
    # a disk is mounted again.
    found = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    size, written, changed, inode = (number % SQLITE_INTEGERS for number in found)
    return size, written, changed, inode


def unchanged_files(store: DescriptorStore, names: Mapping[Path, str]) -> dict[Path, str]:
    """The sha256 of those files (path -> name in the cache) that are as when they were read."""
    stamps = store.stamps(list(names.values()))
    found = {}
    for path, name in names.items():
        stamp, sha256 = stamps.get(name, (None, ""))
        if stamp is not None and stamp == stamp_of(path):
            found[path] = sha256
    return found
