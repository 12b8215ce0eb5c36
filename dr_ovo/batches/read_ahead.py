"""Threads that work ahead: results in order, a few of them ready before they are asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from itertools import islice
from queue import SimpleQueue
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class ReadAhead(Generic[Task, Result]):
    """`work` in `threads` threads, up to `ahead` tasks before their results are taken.

    The threads are daemons: one that waits for a disk that never answers does not keep the process
    from ending.
    """

    def __init__(self, work: Callable[[Task], Result], threads: int, ahead: int) -> None:
        self._work, self._ahead = work, ahead
        self._tasks: SimpleQueue[tuple[Future[Result], Task] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"reading {number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while (entry := self._tasks.get()) is not None:
            future, task = entry
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._work(task))
            except BaseException as error:
                future.set_exception(error)

    def results(
        self, tasks: Iterable[Task], check: Callable[[], None], every: float
    ) -> Iterator[Result]:
        """The results in the order of the tasks. Leaving them early leaves the rest undone.

        Calls `check` at times, `every` so many seconds, while a result does not come; what it
        raises ends the wait. Raises what `work` raises.
        """
        left = iter(tasks)
        waiting: deque[Future[Result]] = deque()
        try:
            while True:
                for task in islice(left, self._ahead - len(waiting)):
                    waiting.append(Future())
                    self._tasks.put((waiting[-1], task))
                if not waiting:
                    return
                while not wait([waiting[0]], every).done:
                    check()
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """Ends the threads after the task that each is at; does not wait for them."""
        for _ in self._threads:
            self._tasks.put(None)
