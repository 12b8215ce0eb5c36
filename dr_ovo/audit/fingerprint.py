"""The fingerprint of audited files: over their names and contents, as config.json holds it.

Dates are no evidence: a copy of a dataset has others, and a replaced picture may have the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dr_ovo.audit.findings import Photograph
from dr_ovo.audit.measurement_cache import DESCRIPTORS
from dr_ovo.copies.content_hashes import content_hashes

PREFIX = "sha256-contents"  # what folders of earlier versions have is bare: see `_of_dates`


def fingerprints(
    photographs: Sequence[Photograph], cache: Path | None, *, keep: bool = True
) -> dict[str, Any]:
    """`files`, the fingerprint of all pictures, and `splits`, that of each split.

    `cache` is the folder of the audit's cache (None: every file is read); what had to be read is
    added to it, unless not to `keep` anything.
    """
    file = cache / DESCRIPTORS if cache else None
    contents = content_hashes([p.path for p in photographs], file, keep=keep)
    splits = sorted({p.split for p in photographs})
    return {
        "files": _fingerprint(photographs, contents),
        "splits": {
            name: _fingerprint([p for p in photographs if p.split == name], contents)
            for name in splits
        },
    }


def are_same(
    stored: Mapping[str, Any],
    photographs: Sequence[Photograph],
    cache: Path | None,
    *,
    keep: bool = True,
) -> bool:
    """Whether the pictures are, file by file, those of a stored audit; all else as above."""
    files = str(stored["files"])
    if not files.startswith(PREFIX):
        return files == _of_dates(photographs)
    if not files.startswith(f"{PREFIX}:{_digest(p.file for p in photographs)}:"):
        return False  # other names: no file need be read
    return bool(files == fingerprints(photographs, cache, keep=keep)["files"])


def replaced_splits(
    stored: Mapping[str, Any],
    photographs: Sequence[Photograph],
    cache: Path | None,
    *,
    keep: bool = True,
) -> list[str]:
    """The splits of which a stored audit has other contents than `photographs`, which need not have
    all of its splits. None for an audit of an earlier version, which has no contents."""
    then = stored.get("splits", {})
    wanted = [p for p in photographs if p.split in then]
    if not wanted:
        return []
    now = fingerprints(wanted, cache, keep=keep)["splits"]
    return [name for name, found in now.items() if found != then[name]]


def _fingerprint(photographs: Sequence[Photograph], contents: Mapping[Path, str]) -> str:
    """PREFIX, a hash over the names, and one over names and contents."""
    names = _digest(p.file for p in photographs)
    listed = _digest(f"{p.file}\t{contents[p.path]}" for p in photographs)
    return f"{PREFIX}:{names}:{listed}"


def _of_dates(photographs: Sequence[Photograph]) -> str:
    """The hash over path, size and modification time of every file, of earlier versions."""
    stats = [(p.file, p.path.stat()) for p in photographs]
    return _digest(f"{name}\t{status.st_size}\t{status.st_mtime_ns}" for name, status in stats)


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()
