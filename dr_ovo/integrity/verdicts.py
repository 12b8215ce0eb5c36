"""The verdict on the content of each of many files: from the cache where it is known, else read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from dr_ovo.copies.descriptor_store import (
    NO_STAMP,
    DescriptorStore,
    Stamp,
    name_in,
    open_store,
    stamp_of,
    unchanged_files,
)
from dr_ovo.parallel import each_in_parallel
from dr_ovo.photographs.content_check import Verdict, judge
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import read_bytes

SAVE_EVERY = 500  # files between two writes to the cache
# A file, its stamp before it was read, its sha256 ("" where it can't be read), the verdict.
_Judged = tuple[Path, Stamp, str, Verdict]


def verdicts_on(
    paths: Sequence[Path], cache: Path | None, max_megapixels: float, *, keep: bool = True
) -> dict[Path, Verdict]:
    """The verdict on each file, in the order of `paths`.

    `cache` is the cache file of `describe_files` (None: no cache). New verdicts are added to it,
    unless not to `keep` anything. Raises UserError for a cache that can't be opened.
    """
    if cache is None:
        return {path: verdict for path, _, _, verdict in _judge_all(paths, max_megapixels)}
    names = {path: name_in(cache, path) for path in paths}
    with open_store(cache, write=keep) as store:
        contents = unchanged_files(store, names)
        known = store.verdicts(sorted(set(contents.values())))
        found = {
            path: known[sha256].within(max_megapixels)
            for path, sha256 in contents.items()
            if sha256 in known
        }
        judged = iter(_judge_all([path for path in paths if path not in found], max_megapixels))
        while chunk := list(islice(judged, SAVE_EVERY)):
            if keep:
                _save(store, chunk, names)
            found |= {path: verdict for path, _, _, verdict in chunk}
    return {path: found[path] for path in paths}


def _save(store: DescriptorStore, judged: Sequence[_Judged], names: Mapping[Path, str]) -> None:
    """Adds stamps and verdicts; not on files that can't be read, which may be different soon."""
    read = [entry for entry in judged if entry[2]]
    store.add(
        [],
        [(names[path], *stamp, sha256) for path, stamp, sha256, _ in read],
        {sha256: verdict for _, _, sha256, verdict in read},
    )


def _judge_all(paths: Sequence[Path], max_megapixels: float) -> Iterator[_Judged]:
    return each_in_parallel(partial(_judge, max_megapixels), paths, "checking photographs")


def _judge(max_megapixels: float, path: Path) -> _Judged:
    stamp = stamp_of(path) or NO_STAMP  # before it is read: a change meanwhile shows
    try:
        data = read_bytes(path)
    except DamagedImage as error:
        return path, stamp, "", Verdict(damage=str(error), decodes=False)
    return path, stamp, hashlib.sha256(data).hexdigest(), judge(data, max_megapixels)
