"""A ProcessPoolExecutor whose processes end at once, and with the process that started them."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as NoAnswer
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from dr_ovo.decoded.processes.process import is_up, start
from dr_ovo.decoded.processes.watch import STALLED_SECONDS
from dr_ovo.photographs.image_decoding import LARGE_AT_ONCE
from dr_ovo.signals import not_for_children

KILL_SECONDS = 5.0  # a process inside a read from a dead disk may not end at all


class NoWorkers(Exception):
    """Decoding processes can't be started on this machine."""


class Processes:
    """`count` decoding processes, each with a limit of `memory` in bytes; they start with the first
    jobs. Raises NoWorkers where there can be none.
    """

    def __init__(self, count: int, memory: int) -> None:
        self._context = _Context()  # spawned: a fork copies locks that other threads hold
        try:
            self._leash, self._held = self._context.Pipe(duplex=False)
            with not_for_children():  # the resource tracker, which semaphores start
                large = self._context.BoundedSemaphore(LARGE_AT_ONCE)
                self._executor = ProcessPoolExecutor(
                    count, self._context, start, (self._leash, large, memory)
                )
        except (OSError, ImportError, NotImplementedError) as error:  # such as no /dev/shm
            raise NoWorkers(str(error)) from error

    def submit(self, work: Callable[..., Any], *jobs: Any) -> Future[Any]:
        """As ProcessPoolExecutor.submit, which may start a process. Raises NoWorkers where none can
        be started."""
        try:
            with not_for_children():
                return self._executor.submit(work, *jobs)
        except OSError as error:
            raise NoWorkers(str(error)) from error

    def check_start(self) -> None:
        """Raises NoWorkers unless a process starts."""
        try:
            if not self.submit(is_up).result(STALLED_SECONDS):
                raise NoWorkers("no answer")
        except (BrokenProcessPool, NoAnswer) as error:
            raise NoWorkers(str(error)) from error

    def end(self) -> None:
        """Kills the processes, also where one hangs."""
        self._held.close()
        started = [process for process in self._context.made if process.pid is not None]
        for process in started:
            process.kill()
        deadline = time.monotonic() + KILL_SECONDS
        self._shut_down(KILL_SECONDS)
        for process in started:
            process.join(max(0.0, deadline - time.monotonic()))
        self._context.made.clear()
        self._leash.close()

    def _shut_down(self, seconds: float) -> None:
        """Ends the executor's own thread, and waits so long for it: Python's end, at the same time,
        may write into the pipe that it closes."""
        waiting = threading.Thread(
            target=partial(self._executor.shutdown, cancel_futures=True), daemon=True
        )
        try:
            waiting.start()
        except RuntimeError:  # no further thread can be started
            self._executor.shutdown(wait=False, cancel_futures=True)
        else:
            waiting.join(seconds)


class _Context(SpawnContext):
    """Keeps the processes that it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[BaseProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> BaseProcess:  # type: ignore[override]
        """A process that is yet to start."""
        process = multiprocessing.get_context("spawn").Process(*args, **kwargs)
        self.made.append(process)
        return process
