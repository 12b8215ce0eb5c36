"""A branch in training: its trainer, its best epoch so far, and whether it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dr_ovo.training.measure import Score
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.schedule import Schedule


@dataclass
class BranchRun:
    """A branch in training: its trainer, and its best epoch so far. It has no trainer once it has
    ended, and where it is another rank's."""

    name: str
    trainer: BranchTrainer | None
    images: int  # per epoch
    schedule: Schedule
    best: Score | None = None
    best_epoch: int = 0
    progress: float | None = None  # the value from which `min_delta` counts
    progress_epoch: int = 0  # the epoch from which patience counts
    ended: str | None = None  # "patience" or "last epoch"; None after an interruption

    def end(self) -> None:
        """Frees the optimizer and GPU memory; the best weights are on disk."""
        if self.trainer is not None:
            self.trainer.branch.cpu()
        self.trainer = None

    def note_progress(self, score: Score, epoch: int, min_delta: float) -> None:
        """Resets patience if the score is better by more than `min_delta`."""
        if self.progress is None or score.value > self.progress + min_delta:
            self.progress, self.progress_epoch = score.value, epoch

    def to_dict(self) -> dict[str, Any]:
        """Plain values for progress.json."""
        best = None if self.best is None else [self.best.value, self.best.tie_break]
        return {
            "best": best,
            "best_epoch": self.best_epoch,
            "progress": self.progress,
            "progress_epoch": self.progress_epoch,
            "ended": self.ended,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Restores what `to_dict` returned."""
        self.best = None if saved["best"] is None else Score(*saved["best"])
        self.best_epoch, self.ended = saved["best_epoch"], saved["ended"]
        self.progress, self.progress_epoch = saved["progress"], saved["progress_epoch"]
