"""What holds a process that this one starts: it ends with this one, and has a limit of memory."""

from __future__ import annotations

import os
import resource
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

STATM = Path("/proc/self/statm")


def end_with(leash: Connection) -> None:
    """From now on this process ends when the other end of `leash`, a pipe that nothing is sent
    through, is closed: at the latest by the death of the process that holds it; at once where it
    can't wait for that."""
    try:
        threading.Thread(target=_wait, args=(leash,), daemon=True).start()
    except (RuntimeError, MemoryError):  # no thread can be started
        os._exit(1)


def _wait(leash: Connection) -> None:
    with suppress(EOFError, OSError):
        leash.recv_bytes()
    os._exit(1)


def limit_memory(more: int) -> tuple[int, int]:
    """From now on this process may take `more` bytes beyond those that it has, or fewer where its
    limit was lower. Returns the limits (soft, hard) before."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(STATM.read_text().split()[0])
    except OSError:  # only Linux tells
        return before
    limits = [pages * resource.getpagesize() + more, soft, hard]
    lowest = min(limit for limit in limits if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (lowest, hard))
    return before
