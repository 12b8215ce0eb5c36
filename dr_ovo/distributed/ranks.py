"""The ranks of a run, and what they tell each other: torch.distributed, or a single process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import torch
import torch.distributed as dist

from dr_ovo.errors import MachineError, UserError

T = TypeVar("T")


class LostRank(MachineError):
    """Another rank has ended in the middle of an exchange; why is not known here."""

    def __init__(self, cause: Exception) -> None:
        first = next(iter(str(cause).splitlines()), type(cause).__name__)
        super().__init__(
            "Another process of this run has ended without a word: it was killed, or its machine "
            f"failed ({first}). What is saved can be resumed by the same command with --resume."
        )


class StoppedByAnother(LostRank):
    """This rank ends since another one was stopped, or has failed."""

    def __init__(self) -> None:
        MachineError.__init__(
            self,
            "Another process of this run was stopped. What is saved can be resumed by the same "
            "command with --resume.",
        )


class Ranks:
    """A run of one process. `Joined` is one of several, in which each rank makes the same calls in
    the same order."""

    index = 0
    count = 1

    @property
    def is_first(self) -> bool:
        """Whether this rank writes what a run has once, such as its log."""
        return self.index == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other rank."""
        return self.count == 1

    def broadcast(self, value: T) -> T:
        """The first rank's value; the others' are not used."""
        return value

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, by rank."""
        return [value]

    def sum_into(self, tensor: torch.Tensor) -> None:
        """Replaces the tensor by its sum over the ranks, the same bits in each."""

    def any(self, *flags: bool) -> list[bool]:
        """Whether each of the flags is set in one of the ranks."""
        return [*flags]

    def first_does(self, work: Callable[[], T]) -> T:
        """What the first rank's `work` returns, in all of them."""
        return self.broadcast(work() if self.is_first else cast(T, None))

    def require_same(self, value: object, said: str) -> None:
        """Raises UserError, with what is `said`, where the ranks have different values."""
        found = self.gather(value)
        if any(other != found[0] for other in found):
            listed = ", ".join(f"rank {rank}: {each}" for rank, each in enumerate(found))
            raise UserError(f"{said} ({listed}).")

    def meet(self) -> None:
        """Waits for all ranks."""
        self.gather(None)


ALONE = Ranks()


class Joined(Ranks):
    """One of several ranks, over torch's default process group.

    Objects are exchanged by torch.distributed, which pickles them: only among the processes of one
    run. Raises LostRank where another rank ends meanwhile.
    """

    def __init__(self, index: int, count: int) -> None:
        self.index, self.count = index, count

    def broadcast(self, value: T) -> T:
        """As in Ranks."""
        values = [value if self.is_first else None]
        _exchange(lambda: dist.broadcast_object_list(values, src=0))
        return cast(T, values[0])

    def gather(self, value: T) -> list[T]:
        """As in Ranks."""
        values: list[T | None] = [None] * self.count
        _exchange(lambda: dist.all_gather_object(values, value))
        return cast("list[T]", values)

    def any(self, *flags: bool) -> list[bool]:
        """As in Ranks."""
        counts = torch.tensor(flags, dtype=torch.int32)
        self.sum_into(counts)
        return [count > 0 for count in counts.tolist()]

    def sum_into(self, tensor: torch.Tensor) -> None:
        """As in Ranks."""
        _exchange(lambda: dist.all_reduce(tensor))


def _exchange(work: Callable[[], object]) -> None:
    try:
        work()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # torch has no common class for a peer that is gone
        raise LostRank(error) from error
