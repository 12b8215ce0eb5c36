"""Work in threads on all cores that this process may use: results in order, as they are asked for.

Threads suffice: decoding, resizing, hashing and numpy release the GIL.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from itertools import islice
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

from tqdm import tqdm

Job = TypeVar("Job")
Result = TypeVar("Result")
CLOSE_SECONDS = 5.0
AHEAD_PER_THREAD = 4  # jobs under way and done before their results are taken


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Ahead(Generic[Job, Result]):
    """Does `work` in `threads` threads (0: in the thread that asks), up to `ahead` jobs before
    their results are taken.

    The threads are daemons: one that waits for a disk that never answers does not keep the process
    from ending. Others are waited for: a process that ends while OpenCV computes is aborted.
    """

    def __init__(self, work: Callable[[Job], Result], threads: int, ahead: int) -> None:
        self._work, self._ahead = work, ahead
        self._jobs: SimpleQueue[tuple[Future[Result], Job] | None] = SimpleQueue()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"working {number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None:
            future, job = entry
            if self._closing.is_set():
                future.cancel()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._work(job))
            except BaseException as error:
                future.set_exception(error)

    def results(
        self,
        jobs: Iterable[Job],
        check: Callable[[], None] | None = None,
        every: float | None = None,
    ) -> Generator[Result, None, None]:
        """The results in the order of the jobs. Leaving them early leaves the rest undone.

        Calls `check` at times, `every` so many seconds, while a result does not come; what it
        raises ends the wait. Raises what `work` raises.
        """
        if not self._threads:
            yield from map(self._work, jobs)
            return
        left = iter(jobs)
        waiting: deque[Future[Result]] = deque()
        try:
            while True:
                for job in islice(left, self._ahead - len(waiting)):
                    waiting.append(Future())
                    self._jobs.put((waiting[-1], job))
                if not waiting:
                    return
                while not wait([waiting[0]], every).done:
                    if check is not None:
                        check()
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """Ends the threads after the job that each is at, for which it waits for CLOSE_SECONDS."""
        self._closing.set()
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Ahead[Job, Result]:
        return self

    def __exit__(
        self, _kind: object, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def each_in_parallel(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    title: str,
    workers: int | None = None,
    unit: str = "img",
) -> Iterator[Result]:
    """The results of `work` for all jobs, in order, as they are ready, with a progress bar.

    Computed by `workers` threads (None: one per core). Ctrl-C stops them at once.
    """
    results = _each(work, jobs, workers or available_cores())
    disable = None if jobs else True
    yield from tqdm(results, title, total=len(jobs), unit=unit, disable=disable, leave=False)


def _each(
    work: Callable[[Job], Result], jobs: Iterable[Job], threads: int
) -> Generator[Result, None, None]:
    with Ahead(work, threads, AHEAD_PER_THREAD * threads) as ahead:
        yield from ahead.results(jobs)


def in_parallel(work: Callable[[Job], Result], jobs: Sequence[Job], title: str) -> list[Result]:
    """The results of `work` for all jobs, in order; see `each_in_parallel`."""
    return list(each_in_parallel(work, jobs, title))


def in_threads(work: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
    """The results of `work` for all jobs, in order, on all cores."""
    return list(_each(work, jobs, available_cores()))
