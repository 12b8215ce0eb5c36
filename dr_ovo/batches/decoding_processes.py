"""Processes that read and decode photographs: one task at a time each, ended with their parent.

They are spawned, not forked: a fork copies locks that other threads hold, such as OpenCV's.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any

from dr_ovo.batches.reading import Reader, Reading, Stalled

PARENT_CHECK_SECONDS = 2.0
KILL_SECONDS = 5.0  # a process inside a read from a dead disk may not end at all


class ProcessDied(RuntimeError):
    """A decoding process ended in the middle of its work."""


class DecodingProcesses:
    """`count` processes that read for as many threads. They start with the first task."""

    def __init__(self, reader: Reader, count: int, timeout: float) -> None:
        self._reader, self._count, self._timeout = reader, count, timeout
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._all: list[_Process] = []
        self._starting = threading.Lock()

    def read(self, positions: Sequence[int]) -> list[Reading]:
        """The photographs at the positions, by the next idle process.

        Raises ProcessDied, and Stalled where the answer to one file takes longer than the timeout.
        """
        self._start()
        process = self._idle.get()
        try:
            return process.read(positions, self._timeout)
        finally:
            self._idle.put(process)

    def _start(self) -> None:
        with self._starting:
            while len(self._all) < self._count:
                self._all.append(_Process(self._reader))
                self._idle.put(self._all[-1])

    def close(self) -> None:
        """Kills the processes; threads that wait for one get ProcessDied."""
        with self._starting:
            self._count = len(self._all)
        for process in self._all:
            process.kill()


class _Process:
    def __init__(self, reader: Reader) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._current = context.Value("q", -1, lock=False)  # the position that is being read
        self._process = context.Process(
            target=_serve, args=(theirs, reader, self._current, os.getpid()), daemon=True
        )
        self._process.start()
        theirs.close()

    def read(self, positions: Sequence[int], timeout: float) -> list[Reading]:
        self._current.value = -1
        try:
            self._connection.send(list(positions))
            found: list[Reading] = []
            while len(found) < len(positions):
                ready = wait([self._connection, self._process.sentinel], timeout)
                if not ready:
                    current = self._current.value
                    raise Stalled(positions[len(found)] if current < 0 else current)
                found.append(self._connection.recv())
        except (EOFError, OSError):
            raise ProcessDied("a decoding process ended") from None
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.join(KILL_SECONDS)


def _serve(connection: Connection, reader: Reader, current: Any, parent: int) -> None:
    """Reads what the parent asks for until it is gone."""
    # A Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        while True:
            for position in connection.recv():
                current.value = position
                connection.send(reader.read(position))
    except (EOFError, OSError):
        return


def _end_with(parent: int) -> None:
    """Ends this process once its parent is gone, even in the middle of a read that stalls."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)
