"""Processes that end with the one that started them, also where that one is killed."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from multiprocessing.connection import Connection


def end_with(leash: Connection) -> None:
    """From now on this process ends when the other end of `leash`, a pipe that nothing is sent
    through, is closed: at the latest by the death of the process that holds it."""
    threading.Thread(target=_wait, args=(leash,), daemon=True).start()


def _wait(leash: Connection) -> None:
    with suppress(EOFError, OSError):
        leash.recv_bytes()
    os._exit(1)
