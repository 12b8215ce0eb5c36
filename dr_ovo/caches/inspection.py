"""Inspects a cache file before it is used: is it a cache of this toolkit, and nothing else?

The file may have come with a dataset. SQL that somebody else put into it (views, triggers,
generated columns) must not run, and no link may lead out of the dataset.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# SQLite quotes a damaged file in its messages, which Python can't always decode.
CACHE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
DAMAGED = "is damaged"
OTHER_VERSION = "was made by another version"
FOREIGN = "holds what no cache of this toolkit does"
NO_FILE = "is not a file of its own"
COMPANIONS = ("-journal", "-wal", "-shm")  # what SQLite puts beside a file
# The last bytes of a journal that names a further file, which SQLite would delete. Caches never
# have one, as no transaction of theirs spans two files.
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")


@dataclass(frozen=True)
class Layout:
    """What a cache file holds: `tables` maps each table to its columns as SQL, the last of them the
    digest; `earlier` are tables of earlier versions; files of another `version` are not used."""

    name: str
    version: int
    tables: Mapping[str, str]
    earlier: frozenset[str] = frozenset()


def unlike_a_file(file: Path) -> str:
    """NO_FILE where the path, or one of its COMPANIONS, is a link or no regular file; else ""."""
    for path in (file, *companions(file)):
        try:
            kind = os.lstat(path).st_mode
        except OSError:
            continue
        if not stat.S_ISREG(kind) or (path != file and _names_another(path)):
            return NO_FILE
    return ""


def companions(file: Path) -> list[Path]:
    """The paths of the files that SQLite may put beside a file."""
    return [file.with_name(file.name + suffix) for suffix in COMPANIONS]


def _names_another(journal: Path) -> bool:
    try:
        with journal.open("rb") as opened:
            opened.seek(-len(JOURNAL_MAGIC), os.SEEK_END)
            return opened.read() == JOURNAL_MAGIC
    except OSError:
        return False


def unlike_a_cache(connection: sqlite3.Connection, layout: Layout, *, thorough: bool) -> str:
    """OTHER_VERSION, FOREIGN or DAMAGED, or "" for a file that may be used; an empty one may.

    `thorough`: reads the whole file. Raises sqlite3.OperationalError for a file that can't be read.
    """
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        objects = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
        reason = _unlike_layout(objects.fetchall(), layout)
        if not reason and version not in (0, layout.version):
            return OTHER_VERSION
        if not reason and thorough:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            return "" if sound else DAMAGED
    except sqlite3.OperationalError as error:
        if "unsupported file format" in str(error):
            return DAMAGED
        raise
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return DAMAGED
    return reason


def _unlike_layout(objects: Iterable[tuple[str, str, str, str | None]], layout: Layout) -> str:
    """FOREIGN where there is anything but tables of these names, OTHER_VERSION where they have
    other columns, else ""."""
    reason = ""
    known = {*layout.tables, *layout.earlier}
    for kind, name, table, sql in objects:
        if kind == "index" and sql is None and table in known:
            continue  # that of a primary key
        if kind != "table" or name not in known or not str(sql).startswith("CREATE TABLE"):
            return FOREIGN
        if name in layout.tables and sql != f"CREATE TABLE {name} {layout.tables[name]}":
            reason = OTHER_VERSION
    return reason
