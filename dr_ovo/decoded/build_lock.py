"""One process at a time fills a store of decoded photographs; a second one waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dr_ovo.decoded.places import LOCK
from dr_ovo.errors import UserError, log

SECONDS_BETWEEN_LOOKS = 0.5


@contextmanager
def build_lock(store: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds the lock of a store, after waiting for another process that holds it.

    The system frees the lock of a process that is killed. Where the file system has no locks, it
    is done without: rows of two processes that get in each other's way are told by their
    checksums. Raises UserError, unless to `wait`, where another process holds the lock.
    """
    lock = FileLock(store / LOCK, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise UserError(
                f"{store} is in use by a process that decodes photographs into it. Wait until it "
                "has ended, or end it."
            ) from None
        log.info("Another process decodes photographs into %s: waiting until it has ended.", store)
        lock.acquire(poll_interval=SECONDS_BETWEEN_LOOKS)
    except (OSError, NotImplementedError):
        pass
    try:
        yield
    finally:
        lock.release()
