"""Runs decoding processes. One that crashes costs the photograph that it had, not the others."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures import TimeoutError as NoAnswer
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice

from dr_ovo.decoded.decoding_worker import Job, Outcome, close_rows, is_up, start
from dr_ovo.errors import MachineError

JOBS_A_WORKER = 2  # under way at a time, so that none waits for the next
LARGE_AT_ONCE = 2  # large pictures in all processes together
STALLED_SECONDS = 120
SHOWN = 5
CRASHED = "crashes the decoder"
Work = Callable[[Job], Outcome]


class NoWorkers(Exception):
    """Decoding processes can't be started on this machine."""


class DecodingPool:
    """Does `work` in up to `workers` processes, each with a limit of `memory` in bytes."""

    def __init__(self, work: Work, workers: int, memory: int) -> None:
        self._work = work
        self._count = workers
        self._memory = memory

    def outcomes(self, jobs: Iterable[Job]) -> Generator[tuple[Job, Outcome], None, None]:
        """Each job and its outcome, as they are ready; damage where the process crashed.

        Raises NoWorkers where no process starts, and MachineError where none answers for
        STALLED_SECONDS. All processes have ended when this ends, for whatever reason.
        """
        waiting = iter(jobs)
        while True:
            suspects, waiting = yield from self._together(waiting)
            if not suspects:
                return
            yield from self._one_by_one(suspects)

    def _together(
        self, waiting: Iterator[Job]
    ) -> Generator[tuple[Job, Outcome], None, tuple[list[Job], Iterator[Job]]]:
        """Jobs on all processes; if one crashes, those that were under way, and the rest."""
        running: dict[Future[Outcome], Job] = {}
        suspects: list[Job] = []
        with self._processes(self._count) as pool:
            while True:
                room = 0 if suspects else JOBS_A_WORKER * self._count - len(running)
                for job in islice(waiting, room):
                    try:
                        running[_submit(pool, self._work, job)] = job
                    except BrokenProcessPool:
                        suspects.append(job)
                        break
                if not running:
                    return suspects, waiting
                for future in _ready(running):
                    job = running.pop(future)
                    if isinstance(future.exception(), BrokenProcessPool):
                        suspects.append(job)
                    else:
                        yield job, future.result()

    def _one_by_one(self, suspects: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Each job alone, so that a crash tells which it was."""
        waiting = deque(suspects)
        while waiting:
            with self._processes(1) as pool:
                _check_start(pool)
                crashed = False
                while waiting and not crashed:
                    job = waiting.popleft()
                    try:
                        future = _submit(pool, self._work, job)
                    except BrokenProcessPool:  # it died after its last answer
                        waiting.appendleft(job)
                        break
                    _ready({future: job})
                    crashed = isinstance(future.exception(), BrokenProcessPool)
                    yield job, Outcome(damage=CRASHED) if crashed else future.result()

    @contextmanager
    def _processes(self, count: int) -> Iterator[ProcessPoolExecutor]:
        # Spawned: a fork copies locks that other threads hold, such as OpenCV's.
        context = multiprocessing.get_context("spawn")
        leash, held = context.Pipe(duplex=False)
        others = set(multiprocessing.active_children())
        large = context.BoundedSemaphore(LARGE_AT_ONCE)
        pool = ProcessPoolExecutor(count, context, start, (leash, large, self._memory))
        try:
            yield pool
            pool.shutdown()
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.kill()  # at once, also where it hangs
            raise
        finally:
            held.close()
            pool.shutdown(wait=False, cancel_futures=True)
            leash.close()


class ThisProcess:
    """Does `work` here, one job after the other: for --num_workers 0."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def outcomes(self, jobs: Iterable[Job]) -> Generator[tuple[Job, Outcome], None, None]:
        """Each job and its outcome."""
        try:
            for job in jobs:
                yield job, self._work(job)
        finally:
            close_rows()


def _submit(pool: ProcessPoolExecutor, work: Callable, *jobs: Job) -> Future:
    """As pool.submit, which may start a process: Ctrl-C must not reach it before it ignores it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(work, *jobs)
    except OSError as error:
        raise NoWorkers(str(error)) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ready(running: dict[Future[Outcome], Job]) -> set[Future[Outcome]]:
    """Those that are done, once there is one. Raises MachineError if there is none for long."""
    done, _ = wait(running, STALLED_SECONDS, FIRST_COMPLETED)
    if not done:
        names = [str(job.path) for job in running.values()]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise MachineError(
            f"Decoding gave no answer for {STALLED_SECONDS} s: {', '.join(names[:SHOWN])}{more}. "
            "Check the disk and the network to it, then run the command again."
        )
    return done


def _check_start(pool: ProcessPoolExecutor) -> None:
    try:
        if not _submit(pool, is_up).result(STALLED_SECONDS):
            raise NoWorkers("no answer")
    except (BrokenProcessPool, NoAnswer) as error:
        raise NoWorkers(str(error)) from error
