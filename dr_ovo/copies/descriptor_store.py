"""The SQLite file that keeps descriptors, which files have them, and the pairs among these.

SQLite keeps what was finished when a run is stopped, and lets several trainings start on one
dataset at a time. What may not be written is read; what may not be read is left.
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

LOCK_SECONDS = 60  # to wait for another process that writes
AT_ONCE = 500  # variables that every SQLite takes in one query
SETS_KEPT = 4  # of files whose pairs are known: audits and trainings may differ in what they list
# `files` held the stamps before they told of a file put in another's place with its size and time.
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
    """What an open cache holds. `keeps` is False where nothing can be added."""

    def __init__(self, connection: sqlite3.Connection, keeps: bool) -> None:
        self._connection = connection
        self.keeps = keeps

    def stamps(self) -> dict[str, tuple[Stamp, str]]:
        """Each file's name -> its stamp and sha256 when it was last read."""
        rows = self._connection.execute("SELECT path, size, time, changed, sha256 FROM stamps")
        return {name: ((size, time, changed), sha256) for name, size, time, changed, sha256 in rows}

    def contents(self) -> frozenset[str]:
        """The sha256 of all files that are described, gone ones too."""
        return frozenset(row[0] for row in self._connection.execute("SELECT sha256 FROM pictures"))

    def pictures(self, contents: Sequence[str]) -> Iterator[PictureRow]:
        """The rows of these `contents`, as far as they are held."""
        for start in range(0, len(contents), AT_ONCE):
            some = contents[start : start + AT_ONCE]
            yield from self._connection.execute(
                "SELECT sha256, width, height, descriptor FROM pictures "
                f"WHERE sha256 IN ({','.join('?' * len(some))})",
                some,
            )

    def keep(self, pictures: Iterable[PictureRow], files: Iterable[FileRow]) -> None:
        """Adds the rows, all or none."""
        if not self.keeps:
            return
        with self._writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)", pictures)
            connection.executemany("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?, ?, ?)", files)

    def pairs(self, key: str) -> str | None:
        """The text kept under `key`; None where there is none."""
        query = "SELECT found FROM pairs WHERE key = ?"
        return next((str(row[0]) for row in self._connection.execute(query, (key,))), None)

    def keep_pairs(self, key: str, found: str) -> None:
        """Keeps the text `found` under `key`, beside those of the latest other sets of files."""
        if not self.keeps:
            return
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO pairs VALUES (?, ?)", (key, found))
            connection.execute(
                "DELETE FROM pairs WHERE rowid NOT IN "
                f"(SELECT rowid FROM pairs ORDER BY rowid DESC LIMIT {SETS_KEPT})"
            )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction; where the system forbids it, nothing more is kept."""
        try:
            with self._connection:
                yield self._connection
        except sqlite3.OperationalError as error:
            if not _forbids(error):
                raise
            self.keeps = False


@contextmanager
def opened(cache: Path, *, check: bool = False) -> Iterator[DescriptorStore]:
    """The cache; with `check` made anew where it is damaged or of another version.

    Where it may not be written it is read; where that may not be either, or it is of another
    version, it seems empty. Raises UserError for a place that can't hold it, MachineError where it
    fails, as on a full disk.
    """
    try:
        store = _open_to_write(cache, check) if _may_write(cache) else None
        with closing(store or _open_to_read(cache) or _in_memory()) as connection:
            yield DescriptorStore(connection, keeps=store is not None)
    except sqlite3.Error as error:
        raise MachineError(
            f"The cache of descriptors {cache} could not be used: {error}. Make room, or "
            "remove the file, and run the command again."
        ) from error


def _may_write(cache: Path) -> bool:
    """Whether the cache, or its folder's folder where there is none, may be written."""
    try:
        if cache.exists():
            # The folder too, in which SQLite keeps its journal.
            return is_writable(cache) and is_writable(cache.parent)
        place = next(folder for folder in cache.absolute().parents if folder.exists())
        return is_writable(place)
    except PermissionError:
        return False


def _open_to_write(cache: Path, check: bool) -> sqlite3.Connection | None:
    """A connection with the tables; None where the system forbids it after all."""
    if check and cache.exists() and not _is_usable(cache):
        cache.unlink()
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(cache, timeout=LOCK_SECONDS)
    except PermissionError:
        return None
    except (OSError, sqlite3.Error) as error:
        raise UserError(
            f"The cache of descriptors {cache} can't be opened ({error}). Give a place that can "
            "be written to."
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
    """A connection that writes nothing; None where the cache can't be read or is no use."""
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
    """Whether an error says that the file, or its journal, may not be written or opened."""
    return any(words in str(error) for words in ("readonly database", "unable to open"))


def _is_usable(cache: Path) -> bool:
    """Whether a cache can be read and is of this version; says so in the log where it can't."""
    try:
        with closing(sqlite3.connect(cache, timeout=LOCK_SECONDS)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.OperationalError:
        return True  # locked or no permission: what opens it will say
    except sqlite3.DatabaseError:
        sound = False
    if not sound:
        log.warning("%s is damaged: the descriptors are computed anew.", cache)
        return False
    return version in (0, DESCRIPTOR_VERSION)
