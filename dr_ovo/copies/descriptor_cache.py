"""Computes the descriptors of many files in processes, once, and reads them back from the cache.

A file is recognised by its stamp or, where links or copying changed that, by its content.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from dr_ovo.copies.judged_files import (
    JudgedFile,
    judge_file,
    recognised_file,
    save_files,
    unusable,
)
from dr_ovo.decoded.processes.decoder import CRASHED
from dr_ovo.decoded.processes.file_workers import open_workers
from dr_ovo.decoded.processes.process import errors_are_damage
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


@dataclass(frozen=True)
class _Known:
    """What a cache has: the sha256 of files that are unchanged, `verdicts` by sha256, and contents
    that it may describe."""

    unchanged: Mapping[Path, str]
    verdicts: Mapping[str, Verdict]
    described: Collection[str]


NOTHING = _Known({}, {}, frozenset())


def describe_files(
    paths: Sequence[Path],
    cache: Path | None,
    workers: int | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> dict[Path, Described | Damage]:
    """Each file's description, or its damage, in the order of `paths`.

    `cache` is the cache file (None: no cache). `workers` is the largest number of processes (None:
    one per core). A picture of more than `max_megapixels`, or that crashes the decoder, is damaged.
    A cache that can't be written is used for reading, with a warning. Raises UserError for a cache
    that can't be opened.
    """
    wanted = list(dict.fromkeys(paths))
    if cache is None:
        entries = _examine_all(NOTHING, wanted, max_megapixels, workers)
        found = {entry.file.path: entry.picture or entry.file.damage for entry in entries}
        return {path: one for path, one in found.items() if one}  # each has one or the other
    with open_store(cache, check=True) as store:
        names = {path: name_in(cache, path) for path in wanted}
        unchanged = unchanged_files(store, names)
        result = _unchanged(store, unchanged, max_megapixels)
        # The second round is for files whose description in the cache turns out to be no evidence.
        for contents in (store.contents(), frozenset[str]()):
            left = {path: names[path] for path in wanted if path not in result}
            if left:
                known = _Known(unchanged, store.verdicts(sorted(store.judged())), contents)
                entries = _examine_all(known, list(left), max_megapixels, workers)
                result |= _save_all(store, left, entries)
    return {path: result[path] for path in wanted}


def _unchanged(
    store: DescriptorStore, contents: Mapping[Path, str], max_megapixels: float
) -> dict[Path, Described | Damage]:
    """What the cache knows of files (path -> sha256) that are as it saw them."""
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


def _save_all(
    store: DescriptorStore, names: Mapping[Path, str], entries: Iterable[_Examined]
) -> dict[Path, Described | Damage]:
    """The descriptions of files (path -> name in the cache) that had to be examined.

    Whole files of a known content are left out if the cache can't describe them.
    """
    fresh: dict[Path, Described | Damage] = {}
    cached: dict[Path, tuple[str, Verdict]] = {}
    unsaved: list[_Examined] = []
    for entry in entries:
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


def _examine_all(
    known: _Known, paths: Sequence[Path], max_megapixels: float, workers: int | None
) -> Iterator[_Examined]:
    """Each file; a process examines what the cache does not know."""
    with open_workers() as processes:

        def examined(path: Path) -> _Examined:
            sha256 = known.unchanged.get(path, "")
            if not sha256 and (file := recognised_file(path, max_megapixels, known.verdicts)):
                if file.damage or file.sha256 in known.described:
                    return _Examined(file, None)
                sha256 = file.sha256
            judged = {sha256: known.verdicts[sha256]} if sha256 in known.verdicts else {}
            entry = processes.do(partial(_examine, max_megapixels, judged), path)
            return entry or _Examined(unusable(path, CRASHED), None)

        yield from processes.each(examined, paths, "computing descriptors", workers)


def _examine(max_megapixels: float, verdicts: Mapping[str, Verdict], path: Path) -> _Examined:
    """Reads a file, judges it, unless one of the `verdicts` (by sha256) is on its content, and
    describes its picture."""
    file, data = judge_file(path, max_megapixels, verdicts)
    if file.damage:
        return _Examined(file, None)
    try:
        with errors_are_damage(), room_for(data, DESCRIPTOR_SIDE):
            image = decode_bytes(data, DESCRIPTOR_SIDE)
            height, width = full_sides(data, image)
            vector = describe_picture(image)
    except DamagedImage as error:
        return _Examined(unusable(path, str(error)), None)
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
