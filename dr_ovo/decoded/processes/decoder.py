"""What does jobs on files: its interface, this process as the plainest one, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from dr_ovo.errors import MachineError

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

    def do(
        self, jobs: Sequence[AnyJob], begins: Callable[[Path], object] | None = None
    ) -> list[Outcome | None]:
        """The outcome of each job; None where its process crashed. `begins` is told the file of
        each job that the calling thread does itself, which nothing else can watch."""

    def close(self) -> None:
        """Ends what does them."""


class PoolClosed(RuntimeError):
    """The pool was closed while a job was under way."""


class Stalled(RuntimeError):
    """A file gave no answer in time."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__(f"no answer from {path} for {seconds:.0f} s")
        self.path, self.seconds = path, seconds


def no_answer(stalled: Stalled) -> MachineError:
    """The error that ends a command."""
    return MachineError(
        f"Decoding gave no answer for {stalled.seconds:.0f} s: {stalled.path}. Check the disk and "
        "the network to it, then run the command again."
    )


def do_here(
    work: Callable[[Job], Outcome], job: Job, begins: Callable[[Path], object] | None
) -> Outcome:
    """The outcome of a job that this thread does, of which `begins` is told before."""
    if begins is not None:
        begins(job.path)
    return work(job)


class ThisProcess(Generic[Job, Outcome]):
    """Does `work` here, one job after the other: for --num_workers 0."""

    def __init__(self, work: Callable[[Job], Outcome]) -> None:
        self._work = work

    def do(
        self, jobs: Sequence[Job], begins: Callable[[Path], object] | None = None
    ) -> list[Outcome | None]:
        """The outcome of each job; see `Decoder`."""
        return [do_here(self._work, job, begins) for job in jobs]

    def close(self) -> None:
        """Nothing has to be ended."""
