"""Workers that judge and measure files in processes: a file that crashes the decoder costs itself.

All that a command judges and measures can share them (`shared_workers`): a process takes half a
second to start. None starts before the first file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dr_ovo.decoded.processes.decoder import Decoder, Stalled, ThisProcess, no_answer
from dr_ovo.decoded.processes.pool import JOBS_A_PROCESS, DecodingPool
from dr_ovo.parallel import available_cores, each_in_parallel

FILES_A_PROCESS = 8  # fewer are not worth the time in which another one starts
Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class _FileJob:
    path: Path
    work: Callable[[Path], Any]


def _do(job: _FileJob) -> Any:
    return job.work(job.path)


class FileWorkers:
    """Do work on files in up to `processes` processes; for 0, in the threads that ask."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._decoder: Decoder[_FileJob, Any] = ThisProcess(_do)
        if processes:
            self._decoder = DecodingPool(_do, processes)

    def do(self, work: Callable[[Path], Outcome], path: Path) -> Outcome | None:
        """What `work`, a function that a process can import, gives for a file; None where it
        crashed the process. Raises MachineError where the file gives no answer."""
        try:
            return self._decoder.do([_FileJob(path, work)])[0]
        except Stalled as stalled:
            raise no_answer(stalled) from None

    def each(
        self,
        step: Callable[[Job], Outcome],
        jobs: Sequence[Job],
        title: str,
        at_once: int | None = None,
    ) -> Iterator[Outcome]:
        """The results of `step`, which may `do` work on a file, for all jobs in order, with a
        progress bar; of `at_once` at a time (None: as many as keep the processes busy)."""
        return each_in_parallel(step, jobs, title, at_once or self._useful(len(jobs)))

    def _useful(self, files: int) -> int:
        """How many steps at a time are worth their processes."""
        busy = -(-files // FILES_A_PROCESS)
        if not self._processes:
            return available_cores()
        return busy if busy < self._processes else JOBS_A_PROCESS * self._processes

    def close(self) -> None:
        """Ends the processes."""
        self._decoder.close()


_shared: ContextVar[FileWorkers | None] = ContextVar("_shared", default=None)


@contextmanager
def open_workers() -> Iterator[FileWorkers]:
    """The `shared_workers`, else new ones, which end with the context."""
    shared = _shared.get()
    if shared is not None:
        yield shared
        return
    with closing(FileWorkers(available_cores())) as own:
        yield own


@contextmanager
def shared_workers(*, processes: bool = True) -> Iterator[None]:
    """Within the context all files are worked on in the same processes, which end with it; without
    `processes`, in threads of this one. Inside another such context, that one rules."""
    if _shared.get() is not None:
        yield
        return
    with closing(FileWorkers(available_cores() if processes else 0)) as workers:
        token = _shared.set(workers)
        try:
            yield
        finally:
            _shared.reset(token)


def each_file(
    work: Callable[[Path], Outcome], paths: Sequence[Path], title: str, at_once: int | None = None
) -> Iterator[Outcome | None]:
    """What `work` gives for each file, in order, with a progress bar; see `FileWorkers.do`."""
    with open_workers() as workers:
        yield from workers.each(lambda path: workers.do(work, path), paths, title, at_once)
