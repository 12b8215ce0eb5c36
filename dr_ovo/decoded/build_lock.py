"""One process at a time fills a store of decoded photographs; a second one waits."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from dr_ovo.decoded.places import LOCK
from dr_ovo.locks.lock_file import Words, locked


def build_lock(store: Path, *, wait: bool = True) -> AbstractContextManager[None]:
    """Holds the lock of a store, after waiting for another process that holds it.

    Where the file system has no locks, it is done without: rows of two processes that get in each
    other's way are told by their checksums. Raises UserError, unless to `wait`, where another
    process holds the lock.
    """
    words = Words(str(store), "decodes photographs into it", "end that process")
    return locked(store / LOCK, words, wait=wait)
