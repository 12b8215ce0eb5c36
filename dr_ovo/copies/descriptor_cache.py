"""The descriptors of many files, computed once: kept in a cache and found again by the files' size
and times, or by their content where those have changed (as links and moves change them)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dr_ovo.copies.descriptor import DESCRIPTOR_SIDE, describe_picture
from dr_ovo.copies.descriptor_store import DescriptorStore, Stamp, opened
from dr_ovo.errors import log
from dr_ovo.parallel import available_cores
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.image_decoding import (
    DamagedImage,
    decode_bytes,
    full_sides,
    read_bytes,
    room_for,
)

KEEP_EVERY = 200  # files between two writings


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
    stamp: Stamp
    sha256: str
    picture: Described | None


def describe_files(
    paths: Sequence[Path], cache: Path | None, workers: int | None = None
) -> dict[Path, Described | Damage]:
    """Each file's description, or its damage, in the order of `paths`.

    `cache` is the file that keeps them (None: none does); damaged files are not kept. `workers`
    threads read, one a core where it is None. A cache that may not be written is read, with a
    warning. Raises UserError for one that can't be opened and MachineError where writing it fails.
    """
    wanted = list(dict.fromkeys(paths))
    if cache is None:
        found = _examine_all(wanted, frozenset(), workers)
        entries = zip(wanted, found, strict=True)
        return {path: _new(entry) for path, entry in entries}
    with opened(cache, check=True) as store:
        result = _describe_with(store, cache, wanted, workers)
        if not store.keeps:
            log.warning(
                "%s can't be written: descriptors that it lacks are computed each time.", cache
            )
    return result


def _describe_with(
    store: DescriptorStore, cache: Path, paths: Sequence[Path], workers: int | None
) -> dict[Path, Described | Damage]:
    """The descriptions that `store` holds, and the others', which are added to it."""
    names = {path: _name(path, cache) for path in paths}
    stamps, contents = store.stamps(), store.contents()
    held: dict[Path, str] = {}
    for path in paths:
        stamp, sha256 = stamps.get(names[path], (None, ""))
        if stamp is not None and sha256 in contents and stamp == _stamp(path):
            held[path] = sha256
    todo = [path for path in paths if path not in held]
    fresh: dict[Path, Described | Damage] = {}
    waiting: list[_Examined] = []
    for path, entry in zip(todo, _examine_all(todo, contents, workers), strict=True):
        if isinstance(entry, _Examined):
            waiting.append(entry)
        if isinstance(entry, _Examined) and entry.picture is None:
            held[path] = entry.sha256
        else:
            fresh[path] = _new(entry)
        if len(waiting) == KEEP_EVERY:
            _keep(store, waiting, names)
            waiting.clear()
    _keep(store, waiting, names)
    pictures = _pictures(store, held.values())
    return {path: pictures[held[path]] if path in held else fresh[path] for path in paths}


def _pictures(store: DescriptorStore, contents: Iterable[str]) -> dict[str, Described]:
    """The descriptions of these `contents` alone, of which a cache may hold many more."""
    return {
        sha256: Described(sha256, np.frombuffer(blob, np.float16), width, height)
        for sha256, width, height, blob in store.pictures(sorted(set(contents)))
    }


def _new(entry: _Examined | Damage) -> Described | Damage:
    """What was found out about a file whose content was not known."""
    if isinstance(entry, Damage):
        return entry
    assert entry.picture is not None
    return entry.picture


def _name(path: Path, cache: Path) -> str:
    """What a file is called in a cache: its place seen from there, so that both can move."""
    return Path(os.path.relpath(path, cache.parent)).as_posix()


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # The last time can't be set: a file with the size and date of the one that it replaces, as
    # `cp -p` and unpacked archives have, tells itself by that.
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


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
    stamp = _stamp(path) or (0, 0, 0)
    try:
        data = read_bytes(path)
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in known:
            return _Examined(path, stamp, sha256, None)
        with room_for(data, DESCRIPTOR_SIDE):
            image = decode_bytes(data, DESCRIPTOR_SIDE)
            height, width = full_sides(data, image)
            picture = Described(sha256, describe_picture(image), width, height)
    except DamagedImage as error:
        return Damage(path, str(error))
    return _Examined(path, stamp, sha256, picture)


def _keep(store: DescriptorStore, entries: Iterable[_Examined], names: Mapping[Path, str]) -> None:
    """Writes what was examined, all of it or nothing."""
    entries = list(entries)
    new = [entry.picture for entry in entries if entry.picture is not None]
    store.keep(
        [(p.sha256, p.width, p.height, p.descriptor.tobytes()) for p in new],
        [(names[entry.path], *entry.stamp, entry.sha256) for entry in entries],
    )


def kept_pairs(cache: Path, key: str) -> str | None:
    """The text kept under `key` by `keep_pairs`; None where there is none."""
    with opened(cache) as store:
        return store.pairs(key)


def keep_pairs(cache: Path, key: str, found: str) -> None:
    """Keeps the text `found` under `key`, beside those of the latest other sets of files."""
    with opened(cache) as store:
        store.keep_pairs(key, found)
