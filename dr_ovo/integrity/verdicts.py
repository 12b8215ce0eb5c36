"""The verdict on the content of each of many files: from the cache where it is known, else read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from dr_ovo.copies.descriptor_store import name_in, open_store, unchanged_files
from dr_ovo.copies.judged_files import (
    JudgedFile,
    judge_file,
    recognised_file,
    save_files,
    unusable,
)
from dr_ovo.decoded.processes.decoder import CRASHED
from dr_ovo.decoded.processes.file_workers import open_workers
from dr_ovo.photographs.content_check import Verdict

SAVE_EVERY = 500  # files between two writes to the cache


def verdicts_on(
    paths: Sequence[Path], cache: Path | None, max_megapixels: float, *, keep: bool = True
) -> dict[Path, tuple[str, Verdict]]:
    """The sha256 of each file and the verdict on it, in the order of `paths`; "" for one that can't
    be used now, such as one that crashes the decoder.

    `cache` is the cache file of `describe_files` (None: no cache). New verdicts are added to it,
    unless not to `keep` anything. Raises UserError for a cache that can't be opened.
    """
    if cache is None:
        return _of_each(_judge_all(paths, max_megapixels, {}))
    names = {path: name_in(cache, path) for path in paths}
    with open_store(cache, write=keep) as store:
        contents = unchanged_files(store, names)
        known = store.verdicts(sorted(set(contents.values())))
        found = {
            path: (sha256, known[sha256].within(max_megapixels))
            for path, sha256 in contents.items()
            if sha256 in known
        }
        left = [path for path in paths if path not in found]
        verdicts = store.verdicts(sorted(store.judged())) if left else {}
        judged = _judge_all(left, max_megapixels, verdicts)
        while files := list(islice(judged, SAVE_EVERY)):
            if keep:
                save_files(store, files, names)
            found |= _of_each(files)
    return {path: found[path] for path in paths}


def _of_each(files: Iterable[JudgedFile]) -> dict[Path, tuple[str, Verdict]]:
    return {file.path: (file.sha256, file.verdict) for file in files}


def _judge_all(
    paths: Sequence[Path], max_megapixels: float, verdicts: Mapping[str, Verdict]
) -> Iterator[JudgedFile]:
    """Each file; a process judges those on whose content none of the `verdicts` (by sha256) is."""
    with open_workers() as workers:

        def judged(path: Path) -> JudgedFile:
            file = recognised_file(path, max_megapixels, verdicts)
            file = file or workers.do(partial(_judge, max_megapixels), path)
            return file or unusable(path, CRASHED)

        yield from workers.each(judged, paths, "checking photographs")


def _judge(max_megapixels: float, path: Path) -> JudgedFile:
    return judge_file(path, max_megapixels, {})[0]
