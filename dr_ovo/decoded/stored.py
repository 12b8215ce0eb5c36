"""The stores in a cache folder: what they are and take, and their deletion, of nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.caches.opening import SET_ASIDE
from dr_ovo.decoded.about import last_used, read_about
from dr_ovo.decoded.build_lock import build_lock
from dr_ovo.decoded.places import ABOUT, INDEX, LOCK, ROWS, SUFFIX, is_store_name
from dr_ovo.errors import UserError
from dr_ovo.files import is_writable
from dr_ovo.locks.lock_file import facts_file

OWN_STARTS = (ROWS, INDEX, ABOUT)  # with what SQLite, a stopped write, or setting aside appends
OWN_ENDS = ("", "-journal", "-wal", "-shm", ".part", SET_ASIDE, f"-journal{SET_ASIDE}")


@dataclass(frozen=True)
class Stored:
    """A store: its folder, what about.json says, bytes on the disk, date (seconds since 1970)."""

    folder: Path
    about: dict[str, Any]
    size_on_disk: int
    last_used: float


def cache_at(folder: Path) -> Path:
    """The cache folder that is meant: `folder`, or the one beside the dataset `folder`.

    Raises UserError where neither holds a store.
    """
    whole = folder.resolve()
    beside = whole.with_name(whole.name + SUFFIX) if whole.name else whole
    for place in (folder, beside):
        if any(True for _ in _stores(place)):
            return place
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder. Give a cache folder, or the dataset beside it.")
    raise UserError(
        f"{folder} holds no decoded photographs of this toolkit, nor is there any {beside}. Give "
        "the folder of --cache_dir, or the dataset."
    )


def stored(cache: Path) -> list[Stored]:
    """The stores in a cache folder, the latest used first."""
    found = []
    for folder in _stores(cache):
        with suppress(OSError):
            about = read_about(folder) or {}
            size = sum(path.lstat().st_size for path in folder.iterdir())
            found.append(Stored(folder, about, size, last_used(folder)))
    return sorted(found, key=lambda store: store.last_used, reverse=True)


def _stores(cache: Path) -> Iterator[Path]:
    """Folders that are recognised by their names and their about.json; no links."""
    with suppress(OSError):
        for path in sorted(cache.iterdir()):
            if is_store_name(path.name) and not path.is_symlink() and read_about(path):
                yield path


def delete(stores: list[Stored]) -> None:
    """Deletes stores, but no file in them that the toolkit does not make; then their folders, and
    the cache folder, if they are empty.

    Raises UserError, before anything is deleted, where one is being filled or can't be written.
    """
    with ExitStack() as locks:
        for store in stores:
            if not is_writable(store.folder):
                raise UserError(f"{store.folder} is read-only: nothing was deleted.")
            locks.enter_context(build_lock(store.folder, wait=False))
        for store in stores:
            _delete_files(store.folder)
    for folder in (*(store.folder for store in stores), *{s.folder.parent for s in stores}):
        with suppress(OSError):  # it holds something else
            folder.rmdir()


def _delete_files(folder: Path) -> None:
    """Deletes by the open folder, so that nobody can put a link in its place meanwhile."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with os.scandir(opened) as entries:
            names = [entry.name for entry in entries]
        # The mark last: a deletion that was stopped can go on.
        for name in sorted(names, key=lambda name: name == ABOUT):
            status = os.stat(name, dir_fd=opened, follow_symlinks=False)
            if _is_own(name) and not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=opened)
    finally:
        os.close(opened)


def _is_own(name: str) -> bool:
    locks = (LOCK, facts_file(Path(LOCK)).name)
    return name in locks or any(name == f"{start}{end}" for start in OWN_STARTS for end in OWN_ENDS)
