"""Computes the descriptors of many files in parallel, once, and reads them back from the cache.

A file is recognised by its stamp or, where links or copying changed that, by its content.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from dr_ovo.choices import MAX_MEGAPIXELS
from dr_ovo.copies.descriptor import DESCRIPTOR_SIDE, describe_picture
from dr_ovo.copies.descriptor_store import (
    DescriptorStore,
    name_in,
    open_store,
    unchanged_files,
)
from dr_ovo.copies.judged_files import JudgedFile, judge_file, save_files
from dr_ovo.parallel import each_in_parallel
from dr_ovo.photographs.content_check import Verdict, damage_of
from dr_ovo.photographs.damage import Damage, DamagedImage
from dr_ovo.photographs.image_decoding import decode_bytes, full_sides, room_for

SAVE_EVERY = 200  # files between two writes to the cache


@dataclass(frozen=True)
class Described:
    """A file's sha256, its descriptor (see `describe_picture`), width and height in pixels, and
    what is odd about it ("" for nothing)."""

    sha256: str
    descriptor: np.ndarray
    width: int
    height: int
    remark: str = ""


@dataclass(frozen=True)
class _Examined:
    """A file that was read; `picture` is None where the cache knows its content, and where it is
    damaged."""

    file: JudgedFile
    picture: Described | None


_Work = Callable[[Path], _Examined]


def describe_files(
    paths: Sequence[Path],
    cache: Path | None,
    workers: int | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> dict[Path, Described | Damage]:
    """Each file's description, or its damage, in the order of `paths`.

    `cache` is the cache file (None: no cache). `workers` is the number of threads (None: one per
    core). A picture of more than `max_megapixels` is damaged. A cache that can't be written is used
    for reading, with a warning. Raises UserError for a cache that can't be opened.
    """
    wanted = list(dict.fromkeys(paths))
    examine = partial(_examine, max_megapixels)
    if cache is None:
        entries = _examine_all(partial(examine, frozenset(), {}), wanted, workers)
        found = {entry.file.path: entry.picture or entry.file.damage for entry in entries}
        return {path: one for path, one in found.items() if one}  # each has one or the other
    with open_store(cache, check=True) as store:
        names = {path: name_in(cache, path) for path in wanted}
        result = _unchanged(store, names, max_megapixels)
        # The second round is for files whose description in the cache turns out to be no evidence.
        for contents in (store.contents(), frozenset[str]()):
            left = {path: names[path] for path in wanted if path not in result}
            if left:
                work = partial(examine, contents, store.verdicts(sorted(store.judged())))
                result |= _examine_and_save(store, left, work, workers)
    return {path: result[path] for path in wanted}


def _unchanged(
    store: DescriptorStore, names: Mapping[Path, str], max_megapixels: float
) -> dict[Path, Described | Damage]:
    """What the cache knows of the files (path -> name in the cache) that are as it saw them."""
    contents = unchanged_files(store, names)
    verdicts = store.verdicts(sorted(set(contents.values())))
    judged = {
        path: (sha256, verdicts[sha256].within(max_megapixels))
        for path, sha256 in contents.items()
        if sha256 in verdicts
    }
    damaged = {path: damage_of(path, verdict) for path, (_, verdict) in judged.items()}
    found: dict[Path, Described | Damage] = {path: d for path, d in damaged.items() if d}
    whole = {path: entry for path, entry in judged.items() if path not in found}
    return found | _kept(store, whole)


def _examine_and_save(
    store: DescriptorStore, names: Mapping[Path, str], work: _Work, workers: int | None
) -> dict[Path, Described | Damage]:
    """The descriptions of files (path -> name in the cache) that had to be read by `work`.

    Whole files of a known content are left out if the cache can't describe them.
    """
    fresh: dict[Path, Described | Damage] = {}
    cached: dict[Path, tuple[str, Verdict]] = {}
    unsaved: list[_Examined] = []
    for entry in _examine_all(work, list(names), workers):
        file = entry.file
        unsaved.append(entry)
        if found := entry.picture or file.damage:
            fresh[file.path] = found
        else:
            cached[file.path] = file.sha256, file.verdict
        if len(unsaved) == SAVE_EVERY:
            _save(store, unsaved, names)
            unsaved.clear()
    _save(store, unsaved, names)
    return fresh | _kept(store, cached)


def _kept(
    store: DescriptorStore, contents: Mapping[Path, tuple[str, Verdict]]
) -> dict[Path, Described]:
    """The descriptions in the cache of whole files (path -> sha256, verdict); the cache may have
    many more."""
    wanted = sorted({sha256 for sha256, _ in contents.values()})
    rows = {row[0]: row for row in store.pictures(wanted)}
    found = {}
    for path, (sha256, verdict) in contents.items():
        if sha256 in rows:
            _, width, height, blob = rows[sha256]
            vector = np.frombuffer(blob, np.float16)
            found[path] = Described(sha256, vector, width, height, verdict.remark)
    return found


def _examine_all(work: _Work, paths: Sequence[Path], workers: int | None) -> Iterator[_Examined]:
    return each_in_parallel(work, paths, "computing descriptors", workers)


def _examine(
    max_megapixels: float, known: Collection[str], verdicts: Mapping[str, Verdict], path: Path
) -> _Examined:
    """Reads a file, judges it, and describes its picture, unless its sha256 is among those that are
    `known` or have `verdicts`."""
    file, data = judge_file(path, max_megapixels, verdicts)
    if file.damage or file.sha256 in known:
        return _Examined(file, None)
    try:
        with room_for(data, DESCRIPTOR_SIDE):
            image = decode_bytes(data, DESCRIPTOR_SIDE)
            height, width = full_sides(data, image)
            vector = describe_picture(image)
    except DamagedImage as error:
        verdict = Verdict(damage=str(error), decodes=False)
        return _Examined(replace(file, sha256="", verdict=verdict), None)
    return _Examined(file, Described(file.sha256, vector, width, height, file.verdict.remark))


def _save(store: DescriptorStore, entries: Sequence[_Examined], names: Mapping[Path, str]) -> None:
    """Adds the entries to the cache, all or none."""
    new = [entry.picture for entry in entries if entry.picture is not None]
    rows = [(p.sha256, p.width, p.height, p.descriptor.tobytes()) for p in new]
    save_files(store, [entry.file for entry in entries], names, rows)


def load_pairs(cache: Path, key: str) -> str | None:
    """The text that `save_pairs` stored under `key`; None where there is none."""
    with open_store(cache) as store:
        return store.pairs(key)


def save_pairs(cache: Path, key: str, found: str) -> None:
    """Stores the text `found` under `key`; only the SETS_KEPT latest keys are kept."""
    with open_store(cache) as store:
        store.save_pairs(key, found)
