"""Warnings of the other ranks, passed on to the log files of the first one by the store."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading

import torch.distributed as dist

from dr_ovo.errors import log
from dr_ovo.logs import ON_ANOTHER_SCREEN

WARNING = "warning of rank {rank}, {number}"  # each has a name of its own in the store


class PassOn(logging.Handler):
    """Passes on the warnings of this rank."""

    def __init__(self, store: dist.Store, rank: int) -> None:
        super().__init__(logging.WARNING)
        self._store, self._rank, self._count = store, rank, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Leaves a warning in the store."""
        text = f"rank {self._rank} on {socket.gethostname()}: {record.getMessage()}"
        with contextlib.suppress(RuntimeError):  # the store went with the process that held it
            self._store.set(WARNING.format(rank=self._rank, number=self._count), json.dumps(text))
            self._count += 1


class Passed:
    """The warnings of ranks 1 to `count` - 1, each of which is taken once."""

    def __init__(self, store: dist.Store, count: int) -> None:
        self._store, self._taken = store, dict.fromkeys(range(1, count), 0)
        self._lock = threading.Lock()  # a client of the store waits for one answer at a time

    def take(self) -> None:
        """Writes what has come since into the log files; the screens of its ranks have it."""
        with self._lock, contextlib.suppress(RuntimeError):  # as above
            for rank in self._taken:
                while self._store.check([name := self._next(rank)]):
                    text = json.loads(self._store.get(name))
                    self._taken[rank] += 1
                    log.warning("%s", text, extra={ON_ANOTHER_SCREEN: True})

    def _next(self, rank: int) -> str:
        return WARNING.format(rank=rank, number=self._taken[rank])
