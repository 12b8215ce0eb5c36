"""Opens a cache file to write, or only to read; sets aside one that can't be used or trusted.

SQLite keeps finished work when a run is stopped, and lets several trainings start on the same
dataset at once.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from dr_ovo.caches.inspection import (
    CACHE_ERRORS,
    OTHER_VERSION,
    Layout,
    companions,
    unlike_a_cache,
    unlike_a_file,
)
from dr_ovo.caches.signed_cache import SignedCache, warn_once
from dr_ovo.errors import UserError
from dr_ovo.files import is_writable

LOCK_SECONDS = 60  # time to wait while another process writes
MAX_BYTES = 1 << 28  # of a single value; a forged file must not fill the memory
SET_ASIDE = ".set_aside"
# SQL from the file can call nothing, and damage shows when a page is read.
HARDENING = ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0")


def open_cache(
    file: Path | None, layout: Layout, *, check: bool = False, write: bool = True
) -> SignedCache:
    """The open cache, its tables created; in memory without a file.

    A damaged file, one of another version and one that is no cache are set aside; `check` reads the
    whole file to find damage. A cache that can't be written, or shall not be (`write`), is opened
    for reading; one that can't be read either appears empty. Raises UserError for a path where no
    cache can be created.
    """
    if file is None:
        return SignedCache(_in_memory(layout), layout, "")
    refusal = _refusal(file) if write else "read-only"
    connection = None
    if not refusal:
        try:
            connection = _open_to_write(file, layout, check=check)
        except (*CACHE_ERRORS, OSError) as error:
            refusal = str(error)
    if refusal:
        connection = _open_to_read(file, layout)
    return SignedCache(connection or _in_memory(layout), layout, str(file), refusal)


def _refusal(file: Path) -> str:
    """Why the cache can't be written, "" where it may be; creates its folder."""
    try:
        if not _may_write(file):
            return "read-only"
        file.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"The cache {file} can't be opened ({error}). Choose a writable location."
        ) from None
    except OSError as error:
        return str(error.strerror)
    return ""


def _may_write(file: Path) -> bool:
    """Whether the cache, or the nearest existing folder above it if it is absent, is writable."""
    if file.exists():
        # The folder too: SQLite puts its journal there.
        return is_writable(file) and is_writable(file.parent)
    return is_writable(next(folder for folder in file.absolute().parents if folder.exists()))


def _open_to_write(file: Path, layout: Layout, *, check: bool) -> sqlite3.Connection:
    """A connection with the tables. Raises sqlite3.Error or OSError if the system forbids it."""
    found = _connect(file, layout, "rwc", check=check)
    if isinstance(found, str):
        _say(file, found)
        _set_aside(file, found)
        found = _connect(file, layout, "rwc", check=False)
    if isinstance(found, str):
        raise OSError(f"it {found}")
    return found


def _open_to_read(file: Path, layout: Layout) -> sqlite3.Connection | None:
    """A read-only connection; None where the cache can't be read or trusted."""
    if not os.path.lexists(file):
        return None
    try:
        found = _connect(file, layout, "ro", check=False)
    except CACHE_ERRORS:
        return None
    if isinstance(found, str):
        _say(file, found)
        return None
    return found


def _connect(file: Path, layout: Layout, mode: str, *, check: bool) -> sqlite3.Connection | str:
    """A connection to a file with all tables, or why the file can't be used.

    Raises sqlite3.Error if the system, or a lock, does not let it be opened.
    """
    reason = unlike_a_file(file)
    if reason:
        return reason
    # As bytes: the folders above a dataset may have names that are not UTF-8.
    address = f"file:{quote(os.fsencode(file.absolute()))}?mode={mode}"
    connection = sqlite3.connect(address, timeout=LOCK_SECONDS, uri=True)
    try:
        _harden(connection)
        reason = unlike_a_cache(connection, layout, thorough=check)
        if not reason:
            (_create_tables if mode == "rwc" else _require_tables)(connection, layout)
    except BaseException:
        connection.close()
        raise
    if reason:
        connection.close()
        return reason
    return connection


def _harden(connection: sqlite3.Connection) -> None:
    for setting in HARDENING:
        connection.execute(f"PRAGMA {setting}").fetchall()
    # A text that is not UTF-8, in a forged row, must not stop the others.
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    if hasattr(connection, "setlimit"):  # from Python 3.11 on
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)


def _create_tables(connection: sqlite3.Connection, layout: Layout) -> None:
    for table in layout.earlier:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for table, columns in layout.tables.items():
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} {columns}")
    if connection.execute("PRAGMA user_version").fetchone()[0] != layout.version:
        connection.execute(f"PRAGMA user_version = {layout.version}")


def _require_tables(connection: sqlite3.Connection, layout: Layout) -> None:
    for table in layout.tables:
        connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()


def _in_memory(layout: Layout) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    _create_tables(connection, layout)
    return connection


def _say(file: Path, reason: str) -> None:
    warn_once(f"{file} {reason}: everything in it is measured again.")


def _set_aside(file: Path, reason: str) -> None:
    """Renames a file and its companions, links and all; a cache of another version is deleted.

    Raises OSError if the system forbids it.
    """
    if reason == OTHER_VERSION:
        file.unlink()
    for path in (file, *companions(file)):
        with suppress(FileNotFoundError):
            path.replace(_free(path.with_name(path.name + SET_ASIDE)))


def _free(path: Path) -> Path:
    """The path, or one with a number where a folder is in its place."""
    number = 1
    free = path
    while free.is_dir() and not free.is_symlink():
        number += 1
        free = path.with_name(f"{path.name}{number}")
    return free
