"""Does jobs in decoding processes. One that crashes costs the photograph that it had, no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NoAnswer
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Generic

from dr_ovo.decoded.processes.decoder import Job, Outcome, PoolClosed, Stalled, do_here
from dr_ovo.decoded.processes.executor import NoWorkers, Processes
from dr_ovo.decoded.processes.watch import STALLED_SECONDS, Watch
from dr_ovo.errors import log

JOBS_A_PROCESS = 2  # under way at a time, so that none waits for the next
MEMORY = 4 << 30  # bytes that a process may take; 100 megapixels of 16 bits take a third


class DecodingPool(Generic[Job, Outcome]):
    """Does `work` in up to `workers` processes, each with a limit of `memory` in bytes.

    The processes start with the first job and end with `close`. Where one crashes, the jobs that
    were under way are done again, each alone, which tells whose fault it was. Where none can be
    started, this process works.
    """

    def __init__(
        self,
        work: Callable[[Job], Outcome],
        workers: int,
        *,
        memory: int = MEMORY,
        timeout: float = STALLED_SECONDS,
    ) -> None:
        self._work, self._workers, self._memory, self._timeout = work, workers, memory, timeout
        self._lock = threading.Lock()  # of what follows
        self._together: Processes | None = None
        self._single: Processes | None = None
        self._closed = False
        self._under_way: dict[Future[Outcome], Path] = {}  # oldest first, which are worked on
        self._alone = threading.Lock()  # of working alone: in one process, or in this one
        self._works_here = False

    def do(
        self, jobs: Sequence[Job], begins: Callable[[Path], object] | None = None
    ) -> list[Outcome | None]:
        """The outcome of each job; None where the process that did it crashed; see `Decoder`.

        Raises Stalled where no process has given an answer for `timeout` seconds, and PoolClosed.
        """
        futures = [self._submit(job) for job in jobs]
        pairs = zip(jobs, futures, strict=True)
        return [self._result(job, future, begins) for job, future in pairs]

    def _submit(self, job: Job) -> Future[Outcome] | None:
        """The outcome to come; None where the job has to be done alone."""
        with self._lock:
            self._require_open()
            if self._works_here:
                return None
            try:
                self._together = self._together or Processes(self._workers, self._memory)
                future = self._together.submit(self._work, job)
            except (BrokenProcessPool, NoWorkers):
                if self._together is not None:
                    self._together.end()
                self._together = None
                return None
            self._under_way[future] = job.path
        future.add_done_callback(self._ended)
        return future

    def _ended(self, future: Future[Outcome]) -> None:
        with self._lock:
            del self._under_way[future]

    def _result(
        self,
        job: Job,
        future: Future[Outcome] | None,
        begins: Callable[[Path], object] | None,
    ) -> Outcome | None:
        try:
            if future is not None:
                return self._answer(future)
        except (BrokenProcessPool, CancelledError):
            pass
        with self._alone:
            try:
                return self._do_alone(job)
            except NoWorkers as error:
                self._work_here(error)
            return do_here(self._work, job, begins)

    def _answer(self, future: Future[Outcome]) -> Outcome:
        watch = Watch(self._timeout)
        while True:
            try:
                return future.result(watch.every)
            except NoAnswer:
                with self._lock:
                    under_way = list(self._under_way.values())
                if under_way and watch.has_stalled(under_way[0]):
                    raise Stalled(under_way[0], self._timeout) from None

    def _do_alone(self, job: Job) -> Outcome | None:
        """The outcome; None where the process crashed. Raises NoWorkers where none starts."""
        was_used = self._single is not None
        outcome = self._in_one_process(job)
        if outcome is None and was_used:  # the process may have died before it had the job
            outcome = self._in_one_process(job)
        return outcome

    def _in_one_process(self, job: Job) -> Outcome | None:
        """The outcome; None where the process crashed. Raises NoWorkers where none starts."""
        with self._lock:
            self._require_open()
            is_new = self._single is None
            self._single = single = self._single or Processes(1, self._memory)
        if is_new:
            single.check_start()
        try:
            future: Future[Outcome] = single.submit(self._work, job)
            with self._lock:
                self._under_way[future] = job.path
            future.add_done_callback(self._ended)
            return self._answer(future)
        except (BrokenProcessPool, CancelledError):
            with self._lock:
                self._require_open()
                single.end()
                self._single = None
            return None

    def _work_here(self, error: NoWorkers) -> None:
        with self._lock:
            self._require_open()
            if not self._works_here:
                log.warning(
                    "No process that decodes can be started (%s): this one decodes, which is "
                    "slower.",
                    error,
                )
            self._works_here = True

    def _require_open(self) -> None:
        if self._closed:
            raise PoolClosed("the decoding processes were ended")

    def close(self) -> None:
        """Kills the processes; threads that wait for one get PoolClosed."""
        with self._lock:
            self._closed = True
            ending = [one for one in (self._together, self._single) if one is not None]
            self._together = self._single = None
        for processes in ending:
            processes.end()
