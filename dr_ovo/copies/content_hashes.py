"""The sha256 of many files: from the descriptor cache where nothing changed, else read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dr_ovo.copies.descriptor_store import (
    Stamp,
    name_in,
    open_store,
    stamp_of,
    unchanged_files,
)
from dr_ovo.files import file_sha256
from dr_ovo.parallel import in_parallel

UNREADABLE = "unreadable"  # in place of the sha256 of a file that can't be read


def content_hashes(
    paths: Sequence[Path], cache: Path | None, *, keep: bool = True
) -> dict[Path, str]:
    """Each file's sha256, or UNREADABLE, in the order of `paths`.

    `cache` is the cache file of `describe_files` (None: no cache). What was read is added to it,
    unless not to `keep` anything. Raises UserError for a cache that can't be opened.
    """
    if cache is None:
        return {path: sha256 for path, _, sha256 in _read_all(paths)}
    names = {path: name_in(cache, path) for path in paths}
    with open_store(cache, write=keep) as store:
        found = unchanged_files(store, names)
        read = _read_all([path for path in paths if path not in found])
        if keep:
            store.add([], [(names[path], *stamp, sha) for path, stamp, sha in read if stamp])
    found |= {path: sha256 for path, _, sha256 in read}
    return {path: found[path] for path in paths}


def _read_all(paths: Sequence[Path]) -> list[tuple[Path, Stamp | None, str]]:
    return in_parallel(_read, paths, "reading changed files") if paths else []


def _read(path: Path) -> tuple[Path, Stamp | None, str]:
    """A file, its stamp (None where it can't be read), its sha256 or UNREADABLE."""
    stamp = stamp_of(path)  # before it is read: a change meanwhile shows
    try:
        return path, stamp, file_sha256(path)
    except OSError:
        return path, None, UNREADABLE
