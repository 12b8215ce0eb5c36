"""Computes the descriptors of many files in parallel, once, and reads them back from the cache.

A file is recognised by its size and times or, where links or moves changed those, by its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dr_ovo.copies.descriptor import DESCRIPTOR_SIDE, describe_picture
from dr_ovo.copies.descriptor_store import (
    DescriptorStore,
    Stamp,
    name_in,
    open_store,
    stamp_of,
    unchanged_files,
)
from dr_ovo.parallel import available_cores
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.image_decoding import (
    DamagedImage,
    decode_bytes,
    full_sides,
    read_bytes,
    room_for,
)

SAVE_EVERY = 200  # files between two writes to the cache


@dataclass(frozen=True)
class Described:
    """A file's sha256, its descriptor (see `describe_picture`), full width and height in pixels."""

    sha256: str
    descriptor: np.ndarray
    width: int
    height: int


@dataclass(frozen=True)
class _Examined:
    """What reading a file gave; `picture` is None where the cache knows its content."""

    path: Path
    stamp: Stamp
    sha256: str
    picture: Described | None


def describe_files(
    paths: Sequence[Path], cache: Path | None, workers: int | None = None
) -> dict[Path, Described | Damage]:
    """Each file's description, or its damage, in the order of `paths`.

    `cache` is the cache file (None: no cache); damaged files are not cached. `workers` is the
    number of threads (None: one per core). A cache that can't be written is used for reading, with
    a warning. Raises UserError for a cache that can't be opened.
    """
    wanted = list(dict.fromkeys(paths))
    if cache is None:
        found = _examine_all(wanted, frozenset(), workers)
        entries = zip(wanted, found, strict=True)
        return {path: _new(entry) for path, entry in entries}
    with open_store(cache, check=True) as store:
        return _describe_with(store, cache, wanted, workers)


def _describe_with(
    store: DescriptorStore, cache: Path, paths: Sequence[Path], workers: int | None
) -> dict[Path, Described | Damage]:
    """The descriptions, from `store` where possible; new ones are added to it."""
    names = {path: name_in(cache, path) for path in paths}
    result: dict[Path, Described | Damage] = dict(_kept(store, unchanged_files(store, names)))
    # The second round is for files whose description in the cache turns out to be no evidence.
    for contents in (store.contents(), frozenset[str]()):
        todo = {path: names[path] for path in paths if path not in result}
        if todo:
            result |= _examine_and_save(store, todo, contents, workers)
    return {path: result[path] for path in paths}


def _examine_and_save(
    store: DescriptorStore,
    names: Mapping[Path, str],
    known: frozenset[str],
    workers: int | None,
) -> dict[Path, Described | Damage]:
    """The descriptions of files (path -> name in the cache) that had to be read.

    Files of `known` content are not decoded; they are left out if the cache can't describe them.
    """
    fresh: dict[Path, Described | Damage] = {}
    cached: dict[Path, str] = {}
    unsaved: list[_Examined] = []
    for path, entry in zip(names, _examine_all(list(names), known, workers), strict=True):
        if isinstance(entry, _Examined):
            unsaved.append(entry)
        if isinstance(entry, _Examined) and entry.picture is None:
            cached[path] = entry.sha256
        else:
            fresh[path] = _new(entry)
        if len(unsaved) == SAVE_EVERY:
            _save(store, unsaved, names)
            unsaved.clear()
    _save(store, unsaved, names)
    return fresh | _kept(store, cached)


def _kept(store: DescriptorStore, contents: Mapping[Path, str]) -> dict[Path, Described]:
    """The descriptions in the cache of files (path -> sha256); the cache may have many more."""
    pictures = {
        sha256: Described(sha256, np.frombuffer(blob, np.float16), width, height)
        for sha256, width, height, blob in store.pictures(sorted(set(contents.values())))
    }
    return {path: pictures[sha256] for path, sha256 in contents.items() if sha256 in pictures}


def _new(entry: _Examined | Damage) -> Described | Damage:
    """The description or damage of a file whose content was not in the cache."""
    if isinstance(entry, Damage):
        return entry
    assert entry.picture is not None
    return entry.picture


def _examine_all(
    paths: Sequence[Path], known: frozenset[str], workers: int | None
) -> Iterator[_Examined | Damage]:
    """Examines the files, in order, with a progress bar."""
    # Threads, because reading, hashing and OpenCV release the GIL, and because processes forked
    # after OpenCV has been used in this one hang.
    pool = ThreadPoolExecutor(workers or available_cores())
    try:
        found = pool.map(partial(_examine, known), paths)
        yield from tqdm(
            found,
            total=len(paths),
            desc="computing descriptors",
            unit="img",
            disable=None,
            leave=False,
        )
    finally:
        pool.shutdown(cancel_futures=True)


def _examine(known: frozenset[str], path: Path) -> _Examined | Damage:
    """Reads a file; its picture is decoded unless the sha256 of its content is `known`."""
    stamp = stamp_of(path) or (0, 0, 0)
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


def _save(store: DescriptorStore, entries: Iterable[_Examined], names: Mapping[Path, str]) -> None:
    """Adds the entries to the cache, all or none."""
    entries = list(entries)
    new = [entry.picture for entry in entries if entry.picture is not None]
    store.add(
        [(p.sha256, p.width, p.height, p.descriptor.tobytes()) for p in new],
        [(names[entry.path], *entry.stamp, entry.sha256) for entry in entries],
    )


def load_pairs(cache: Path, key: str) -> str | None:
    """The text that `save_pairs` stored under `key`; None where there is none."""
    with open_store(cache) as store:
        return store.pairs(key)


def save_pairs(cache: Path, key: str, found: str) -> None:
    """Stores the text `found` under `key`; only the SETS_KEPT latest keys are kept."""
    with open_store(cache) as store:
        store.save_pairs(key, found)
