"""The descriptors of many files, computed once: kept in a SQLite file and found again by the
files' size and time, or by their content where those have changed.

SQLite keeps what was finished when a run is stopped, whenever that is, and lets several trainings
start on one dataset at a time.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dr_ovo.data.damage import Damage
from dr_ovo.data.decode import DamagedImage, decode_bytes, full_sides, read_bytes
from dr_ovo.data.descriptors import DESCRIPTOR_SIDE, DESCRIPTOR_VERSION, describe_picture
from dr_ovo.errors import MachineError, UserError, log

KEEP_EVERY = 200  # files between two writings
LOCK_SECONDS = 60  # to wait for another process that writes
TABLES = """
CREATE TABLE IF NOT EXISTS files
    (path TEXT PRIMARY KEY, size INTEGER, time INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures
    (sha256 TEXT PRIMARY KEY, width INTEGER, height INTEGER, descriptor BLOB);
CREATE TABLE IF NOT EXISTS pairs (key TEXT PRIMARY KEY, found TEXT);
"""


@dataclass(frozen=True)
class Described:
    """A file's content: its sha256, what it looks like (see `describe_picture`), its full width
    and height in pixels."""

    sha256: str
    descriptor: np.ndarray
    width: int
    height: int


@dataclass(frozen=True)
class _Examined:
    """What was found out about a file; `picture` is None where its content is known."""

    path: Path
    stamp: tuple[int, int]  # size in bytes, time of the last change in ns
    sha256: str
    picture: Described | None


def describe_files(
    paths: Sequence[Path], cache: Path | None, workers: int | None = None
) -> dict[Path, Described | Damage]:
    """Each file's description, or its damage, in the order of `paths`.

    `cache` is the file that keeps them (None: none does); damaged files are not kept. `workers`
    threads read, one a core where it is None. Raises UserError for a cache that can't be opened
    and MachineError where writing it fails.
    """
    wanted = list(dict.fromkeys(paths))
    if cache is None:
        found = _examine_all(wanted, frozenset(), workers)
        return {path: _result(path, entry, {}) for path, entry in zip(wanted, found, strict=True)}
    with _opened(cache) as store:
        return _describe_with(store, cache, wanted, workers)


def _describe_with(
    store: sqlite3.Connection, cache: Path, paths: Sequence[Path], workers: int | None
) -> dict[Path, Described | Damage]:
    """The descriptions that `store` holds, and the others', which are added to it."""
    pictures = {
        sha256: Described(sha256, np.frombuffer(blob, np.float16), width, height)
        for sha256, width, height, blob in store.execute(
            "SELECT sha256, width, height, descriptor FROM pictures"
        )
    }
    names = {path: _name(path, cache) for path in paths}
    files = {
        name: ((size, time), sha256)
        for name, size, time, sha256 in store.execute("SELECT path, size, time, sha256 FROM files")
    }
    results: dict[Path, Described | Damage | None] = dict.fromkeys(paths)
    todo = []
    for path in paths:
        stamp, sha256 = files.get(names[path], (None, ""))
        if stamp is not None and stamp == _stamp(path) and sha256 in pictures:
            results[path] = pictures[sha256]
        else:
            todo.append(path)
    waiting: list[_Examined] = []
    for path, entry in zip(todo, _examine_all(todo, frozenset(pictures), workers), strict=True):
        results[path] = _result(path, entry, pictures)
        if isinstance(entry, _Examined):
            waiting.append(entry)
        if len(waiting) == KEEP_EVERY:
            _keep(store, waiting, names)
            waiting.clear()
    _keep(store, waiting, names)
    return {path: result for path, result in results.items() if result is not None}


def _result(
    path: Path, entry: _Examined | Damage, pictures: Mapping[str, Described]
) -> Described | Damage:
    if isinstance(entry, Damage):
        return entry
    return entry.picture or pictures[entry.sha256]


def _name(path: Path, cache: Path) -> str:
    """What a file is called in a cache: its place seen from there, so that both can move."""
    return Path(os.path.relpath(path, cache.parent)).as_posix()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _examine_all(
    paths: Sequence[Path], known: frozenset[str], workers: int | None
) -> Iterator[_Examined | Damage]:
    """Reads the files, in their order, with a progress bar."""
    # Threads: reading, hashing and OpenCV leave the interpreter to the others, and processes that
    # are forked after OpenCV has worked in this one hang.
    pool = ThreadPoolExecutor(workers or available_cores())
    try:
        found = pool.map(partial(_examine, known), paths)
        yield from tqdm(
            found, total=len(paths), desc="describing", unit="img", disable=None, leave=False
        )
    finally:
        pool.shutdown(cancel_futures=True)


def _examine(known: frozenset[str], path: Path) -> _Examined | Damage:
    """What a file holds; its picture is decoded unless the sha256 of its content is `known`."""
    stamp = _stamp(path)
    try:
        data = read_bytes(path)
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in known:
            return _Examined(path, stamp or (0, 0), sha256, None)
        image = decode_bytes(data, DESCRIPTOR_SIDE)
    except DamagedImage as error:
        return Damage(path, str(error))
    height, width = full_sides(data, image)
    picture = Described(sha256, describe_picture(image), width, height)
    return _Examined(path, stamp or (0, 0), sha256, picture)


@contextmanager
def _opened(cache: Path) -> Iterator[sqlite3.Connection]:
    """The cache, made anew where it is damaged or of another version."""
    if cache.exists() and not _is_usable(cache):
        cache.unlink()
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        store = sqlite3.connect(cache, timeout=LOCK_SECONDS)
    except (OSError, sqlite3.Error) as error:
        raise UserError(
            f"The cache of descriptors {cache} can't be opened ({error}). Give a place that can "
            "be written to."
        ) from None
    with closing(store):
        try:
            store.executescript(f"{TABLES}; PRAGMA user_version = {DESCRIPTOR_VERSION}")
            yield store
        except sqlite3.Error as error:
            raise MachineError(
                f"The cache of descriptors {cache} could not be used: {error}. Make room, or "
                "remove the file, and run the command again."
            ) from error


def _is_usable(cache: Path) -> bool:
    """Whether a cache can be read and is of this version; says so in the log where it can't."""
    try:
        with closing(sqlite3.connect(cache, timeout=LOCK_SECONDS)) as store:
            version = store.execute("PRAGMA user_version").fetchone()[0]
            sound = store.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.OperationalError:
        return True  # locked or no permission: what opens it will say
    except sqlite3.DatabaseError:
        sound = False
    if not sound:
        log.warning("%s is damaged: the descriptors are computed anew.", cache)
        return False
    return version in (0, DESCRIPTOR_VERSION)


def _keep(
    store: sqlite3.Connection, entries: Iterable[_Examined], names: Mapping[Path, str]
) -> None:
    """Writes what was examined, all of it or nothing."""
    entries = list(entries)
    new = [entry.picture for entry in entries if entry.picture is not None]
    with store:
        store.executemany(
            "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)",
            [(p.sha256, p.width, p.height, p.descriptor.tobytes()) for p in new],
        )
        store.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
            [(names[entry.path], *entry.stamp, entry.sha256) for entry in entries],
        )


def kept_pairs(cache: Path, key: str) -> str | None:
    """The text kept under `key` by `keep_pairs`; None where there is none."""
    with _opened(cache) as store:
        row = store.execute("SELECT found FROM pairs WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def keep_pairs(cache: Path, key: str, found: str) -> None:
    """Keeps the text `found` under `key`, in place of what was kept for other sets of files."""
    with _opened(cache) as store, store:
        store.execute("DELETE FROM pairs")
        store.execute("INSERT INTO pairs VALUES (?, ?)", (key, found))
