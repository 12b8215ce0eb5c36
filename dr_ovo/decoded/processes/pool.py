"""Runs decoding processes. One that crashes costs the photograph that it had, not the others."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as NoAnswer
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from dr_ovo.decoded.processes.process import is_up, start

JOBS_A_PROCESS = 2  # under way at a time, so that none waits for the next
LARGE_AT_ONCE = 2  # large pictures in all processes together
STALLED_SECONDS = 120.0
KILL_SECONDS = 5.0  # a process inside a read from a dead disk may not end at all
MEMORY = 4 << 30  # bytes that a process may take; 100 megapixels of 16 bits take a third
CRASHED = "crashes the decoder"


class OfFile(Protocol):
    """A job is about a file."""

    @property
    def path(self) -> Path:
        """The file."""


Job = TypeVar("Job", bound=OfFile)
Outcome = TypeVar("Outcome")
AnyJob = TypeVar("AnyJob", contravariant=True)


class Decoder(Protocol[AnyJob, Outcome]):
    """What does jobs, from any number of threads."""

    def do(self, jobs: Sequence[AnyJob]) -> list[Outcome | None]:
        """The outcome of each job; None where its process crashed."""

    def close(self) -> None:
        """Ends what does them."""


class NoWorkers(Exception):
    """Decoding processes can't be started on this machine."""


class PoolClosed(RuntimeError):
    """The pool was closed while a job was under way."""


class Stalled(RuntimeError):
    """A file gave no answer in time."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"no answer from {path}")
        self.path = path


class DecodingPool(Generic[Job, Outcome]):
    """Does `work` in up to `workers` processes, each with a limit of `memory` in bytes, and of
    `timeout` in seconds for an answer.

    The processes start with the first job and end with `close`. Where one crashes, the jobs that
    were under way are done again, each alone, which tells whose fault it was.
    """

    def __init__(
        self,
        work: Callable[[Job], Outcome],
        workers: int,
        *,
        memory: int = MEMORY,
        timeout: float = STALLED_SECONDS,
    ) -> None:
        self._work = work
        self._timeout = timeout
        self._workers = workers
        self._memory = memory
        self._lock = threading.Lock()
        self._alone = threading.Lock()
        self._together: _Processes | None = None
        self._single: _Processes | None = None
        self._closed = False

    def do(self, jobs: Sequence[Job]) -> list[Outcome | None]:
        """The outcome of each job; None where the process that did it crashed.

        Raises NoWorkers where no process starts, Stalled where one gives no answer, and PoolClosed.
        """
        futures = [self._submit(job) for job in jobs]
        return [self._result(job, future) for job, future in zip(jobs, futures, strict=True)]

    def _submit(self, job: Job) -> Future[Outcome] | None:
        """The outcome to come; None where a crash was in the way."""
        with self._lock:
            self._require_open()
            self._together = self._together or _Processes(self._workers, self._memory)
            try:
                return self._together.submit(self._work, job)
            except BrokenProcessPool:
                self._together.end()
                self._together = None
                return None

    def _result(self, job: Job, future: Future[Outcome] | None) -> Outcome | None:
        try:
            return self._do_alone(job) if future is None else self._answer(job, future)
        except BrokenProcessPool:
            return self._do_alone(job)

    def _do_alone(self, job: Job) -> Outcome | None:
        with self._alone:
            for fresh in (self._single is None, True):  # one may die after its last answer
                try:
                    return self._answer(job, self._one_process().submit(self._work, job))
                except BrokenProcessPool:
                    self._end_single()
                    self._require_open()
                    if fresh:
                        break
            return None

    def _one_process(self) -> _Processes:
        """One process. Raises NoWorkers where it does not start."""
        if self._single is None:
            with self._lock:
                self._require_open()
                self._single = _Processes(1, self._memory)
            self._single.check_start()
        return self._single

    def _answer(self, job: Job, future: Future[Outcome]) -> Outcome:
        try:
            return future.result(self._timeout)
        except NoAnswer:
            raise Stalled(job.path) from None

    def _end_single(self) -> None:
        with self._lock:
            if self._single is not None:
                self._single.end()
                self._single = None

    def _require_open(self) -> None:
        if self._closed:
            raise PoolClosed("the decoding processes were ended")

    def close(self) -> None:
        """Kills the processes; threads that wait for one get PoolClosed."""
        with self._lock:
            self._closed = True
            for processes in (self._together, self._single):
                if processes is not None:
                    processes.end()


class ThisProcess(Generic[Job, Outcome]):
    """Does `work` here, one job after the other: for --num_workers 0."""

    def __init__(self, work: Callable[[Job], Outcome]) -> None:
        self._work = work

    def do(self, jobs: Sequence[Job]) -> list[Outcome | None]:
        """The outcome of each job."""
        return [self._work(job) for job in jobs]

    def close(self) -> None:
        """Nothing has to be ended."""


class _Processes:
    """A ProcessPoolExecutor whose processes end at once, and with this one."""

    def __init__(self, count: int, memory: int) -> None:
        self._context = _Context()  # spawned: a fork copies locks that other threads hold
        leash, self._held = self._context.Pipe(duplex=False)
        large = self._context.BoundedSemaphore(LARGE_AT_ONCE)
        self._executor = ProcessPoolExecutor(count, self._context, start, (leash, large, memory))
        self._leash = leash  # open as long as new processes may take it

    def submit(self, work: Callable[..., Any], *jobs: Any) -> Future[Any]:
        """As ProcessPoolExecutor.submit, which may start a process: Ctrl-C must not reach that
        before it ignores it. Raises NoWorkers where none can be started."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._executor.submit(work, *jobs)
        except OSError as error:
            raise NoWorkers(str(error)) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

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
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in started:
            process.join(KILL_SECONDS)
        self._leash.close()


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
