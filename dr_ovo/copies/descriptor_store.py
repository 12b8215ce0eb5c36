"""The SQLite file of the descriptor cache: tables, opening, locking, read-only use, damage.

SQLite keeps finished work when a run is stopped, and lets several trainings start on the same
dataset at once. A cache that can't be written is only read; one that can't be read is ignored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from dr_ovo.copies.descriptor import DESCRIPTOR_VERSION
from dr_ovo.errors import MachineError, UserError, log
from dr_ovo.files import is_writable

LOCK_SECONDS = 60  # time to wait while another process writes
MAX_VARIABLES = 500  # in one query, which every build of SQLite accepts
SETS_KEPT = 4  # sets of files with stored pairs; audits and trainings may list different files
# `files` was the table of stamps before they included the change time.
TABLES = """
DROP TABLE IF EXISTS files;
CREATE TABLE IF NOT EXISTS stamps
    (path TEXT PRIMARY KEY, size INTEGER, time INTEGER, changed INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures
    (sha256 TEXT PRIMARY KEY, width INTEGER, height INTEGER, descriptor BLOB);
CREATE TABLE IF NOT EXISTS pairs (key TEXT PRIMARY KEY, found TEXT);
"""
Stamp = tuple[int, int, int]  # a file's size in bytes, times of the last write and change in ns
FileRow = tuple[str, int, int, int, str]  # its name in the cache, its stamp, its sha256
PictureRow = tuple[str, int, int, bytes]  # sha256, width, height, descriptor


class DescriptorStore:
    """An open cache. `writable` is False where nothing can be added."""

    def __init__(self, connection: sqlite3.Connection, writable: bool) -> None:
        self._connection = connection
        self.writable = writable

    def stamps(self) -> dict[str, tuple[Stamp, str]]:
        """Each file's name -> its stamp and sha256 when it was last read."""
        rows = self._connection.execute("SELECT path, size, time, changed, sha256 FROM stamps")
        return {name: ((size, time, changed), sha256) for name, size, time, changed, sha256 in rows}

    def contents(self) -> frozenset[str]:
        """The sha256 of all described files, including files that no longer exist."""
        return frozenset(row[0] for row in self._connection.execute("SELECT sha256 FROM pictures"))

    def pictures(self, contents: Sequence[str]) -> Iterator[PictureRow]:
        """The rows of those of the `contents` that are in the cache."""
        for start in range(0, len(contents), MAX_VARIABLES):
            some = contents[start : start + MAX_VARIABLES]
            yield from self._connection.execute(
                "SELECT sha256, width, height, descriptor FROM pictures "
                f"WHERE sha256 IN ({','.join('?' * len(some))})",
                some,
            )

    def add(self, pictures: Iterable[PictureRow], files: Iterable[FileRow]) -> None:
        """Adds the rows, all or none."""
        if not self.writable:
            return
        with self._writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)", pictures)
            connection.executemany("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?, ?, ?)", files)

    def pairs(self, key: str) -> str | None:
        """The text stored under `key`; None where there is none."""
        query = "SELECT found FROM pairs WHERE key = ?"
        return next((str(row[0]) for row in self._connection.execute(query, (key,))), None)

    def save_pairs(self, key: str, found: str) -> None:
        """Stores the text `found` under `key`, and deletes all but the SETS_KEPT latest keys."""
        if not self.writable:
            return
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO pairs VALUES (?, ?)", (key, found))
            connection.execute(
                "DELETE FROM pairs WHERE rowid NOT IN "
                f"(SELECT rowid FROM pairs ORDER BY rowid DESC LIMIT {SETS_KEPT})"
            )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction; if the system forbids writing, nothing is stored from now on."""
        try:
            with self._connection:
                yield self._connection
        except sqlite3.OperationalError as error:
            if not _forbids(error):
                raise
            self.writable = False


@contextmanager
def open_store(cache: Path, *, check: bool = False) -> Iterator[DescriptorStore]:
    """The open cache; with `check` a damaged cache, or one of another version, is replaced.

    A cache that can't be written is opened for reading. One that can't be read either, or has
    another version, appears empty. Raises UserError for a path where no cache can be created,
    MachineError where SQLite fails, as on a full disk.
    """
    try:
        store = _open_to_write(cache, check) if _may_write(cache) else None
        with closing(store or _open_to_read(cache) or _in_memory()) as connection:
            yield DescriptorStore(connection, writable=store is not None)
    except sqlite3.Error as error:
        raise MachineError(
            f"The descriptor cache {cache} could not be used: {error}. Free disk space, or delete "
            "the file, and run the command again."
        ) from error


def _may_write(cache: Path) -> bool:
    """Whether the cache, or the nearest existing folder above it if it is absent, is writable."""
    try:
        if cache.exists():
            # The folder too: SQLite puts its journal there.
            return is_writable(cache) and is_writable(cache.parent)
        nearest = next(folder for folder in cache.absolute().parents if folder.exists())
        return is_writable(nearest)
    except PermissionError:
        return False


def _open_to_write(cache: Path, check: bool) -> sqlite3.Connection | None:
    """A connection with the tables; None if the system forbids writing after all."""
    if check and cache.exists() and not _is_usable(cache):
        cache.unlink()
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(cache, timeout=LOCK_SECONDS)
    except PermissionError:
        return None
    except (OSError, sqlite3.Error) as error:
        raise UserError(
            f"The descriptor cache {cache} can't be opened ({error}). Choose a writable location."
        ) from None
    try:
        connection.executescript(f"{TABLES}; PRAGMA user_version = {DESCRIPTOR_VERSION}")
    except sqlite3.OperationalError as error:
        connection.close()
        if not _forbids(error):
            raise
        return None
    return connection


def _open_to_read(cache: Path) -> sqlite3.Connection | None:
    """A read-only connection; None where the cache can't be read or has another version."""
    address = f"file:{quote(str(cache.absolute()))}?mode=ro"
    with suppress(sqlite3.Error):
        connection = sqlite3.connect(address, timeout=LOCK_SECONDS, uri=True)
        with suppress(sqlite3.Error):
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            for table in ("stamps", "pictures", "pairs"):
                connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
            if version == DESCRIPTOR_VERSION:
                return connection
        connection.close()
    return None


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES)
    return connection


def _forbids(error: sqlite3.OperationalError) -> bool:
    """Whether the error means that the file, or its journal, can't be written or opened."""
    return any(words in str(error) for words in ("readonly database", "unable to open"))


def _is_usable(cache: Path) -> bool:
    """Whether a cache is undamaged and has this version; logs a warning if it is damaged."""
    try:
        with closing(sqlite3.connect(cache, timeout=LOCK_SECONDS)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.OperationalError:
        return True  # locked or no permission: opening it will report that
    except sqlite3.DatabaseError:
        sound = False
    if not sound:
        log.warning("%s is damaged: the descriptors are computed again.", cache)
        return False
    return version in (0, DESCRIPTOR_VERSION)
