"""What a training must not lose, and when the state inside an epoch is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from dr_ovo.training.epochs.clock import EpochClock
from dr_ovo.training.epochs.validation import EpochResult
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.resume.branch_run import BranchRun


class Keeper(Protocol):
    """Writes what a training must not lose."""

    def keep_best(self, run: BranchRun, epoch: int, result: EpochResult) -> None:
        """The weights of a branch that improved."""

    def keep_epoch(self, epoch: int, results: list[EpochResult]) -> None:
        """The history rows of an epoch, and the state after it."""

    def keep_within(self, epoch: int, seconds: float) -> None:
        """The state inside an epoch, which has trained for `seconds`, if there is any."""


AGREED_BATCHES = 32  # after so many, ranks with different branches agree on what is due


class KeptInside:
    """Keeps the state inside an epoch, `every` so many seconds.

    Ranks that have different branches keep it together, each its own: where `agree`, given whether
    it is due in this one, says so. Others have all of it, and the first rank keeps it.
    """

    def __init__(
        self,
        keeper: Keeper,
        epoch: int,
        trainers: Sequence[BranchTrainer],
        clock: EpochClock,
        every: float,
        agree: Callable[[bool], bool] | None = None,
    ) -> None:
        self.keeper, self.epoch, self.trainers = keeper, epoch, trainers
        self.clock, self.every, self.agree = clock, every, agree

    def keep_if_due(self, batches: int) -> None:
        """Keeps the state after so many `batches`, if the last one that was kept is old enough."""
        due = self.clock.since_kept >= self.every
        if self.agree is not None:
            due = batches % AGREED_BATCHES == 0 and self.agree(due)
        if due:
            self.keep()

    def keep(self) -> None:
        """Keeps the state, if there is anything of the epoch. Raises MachineError, and keeps
        nothing, if gradients were not finite."""
        for trainer in self.trainers:
            trainer.require_finite()
        self.keeper.keep_within(self.epoch, self.clock.trained)
        self.clock.kept()
