"""A branch in training: its trainer, its best epoch so far, and whether it has ended."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dr_ovo.training.measure import Score
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.schedule import Schedule
from dr_ovo.training.resume.epoch_choice import Rule

PATIENCE, LAST_EPOCH = "patience", "last epoch"  # how a branch ended, in progress.json


@dataclass
class BranchRun:
    """A branch in training: its trainer, and its best epoch so far. It has no trainer once it has
    ended, and where it is another rank's."""

    name: str
    trainer: BranchTrainer | None
    images: int  # per epoch
    schedule: Schedule
    best: Score | None = None  # of the epoch that is kept: the best by the rule of --keep_epoch
    best_epoch: int = 0
    top: Score | None = None  # the highest so far, kept or not
    progress: tuple[float, ...] = ()  # the values from which `min_delta` counts
    progress_epoch: int = 0  # the epoch from which patience counts
    ended: str | None = None  # PATIENCE or LAST_EPOCH; None after an interruption

    def end(self) -> None:
        """Frees the optimizer and GPU memory; the best weights are on disk."""
        if self.trainer is not None:
            self.trainer.branch.cpu()
        self.trainer = None

    def ending(self, rule: Rule) -> str:
        """How it ended, and the epoch that is kept by a rule, in words for the log."""
        if self.ended == LAST_EPOCH and rule.word == "last":
            return f"at its last epoch, {self.best_epoch}"
        how = "at its last epoch" if self.ended == LAST_EPOCH else f"by {self.ended}"
        return f"{how}; {rule.word} epoch {self.best_epoch}"

    def note(self, score: Score, epoch: int, rule: Rule, min_delta: float) -> bool:
        """Notes the score of an epoch; whether its weights are the ones to keep.

        Resets patience if what the rule counts is better by more than `min_delta`.
        """
        gains = rule.gains(score)
        before = self.progress or (-math.inf,) * len(gains)
        better = [new > old + min_delta for new, old in zip(gains, before, strict=True)]
        if any(better) or not self.progress_epoch:
            self.progress_epoch = epoch
        chosen = zip(gains, before, better, strict=True)
        self.progress = tuple(new if up else old for new, old, up in chosen)
        if score.better_than(self.top):
            self.top = score
        assert self.top is not None
        if not rule.replaces(score, self.best, self.top):
            return False
        self.best, self.best_epoch = score, epoch
        return True

    def to_dict(self) -> dict[str, Any]:
        """Plain values for progress.json, with None for what is no number."""
        return {
            "best": _plain(self.best),
            "best_epoch": self.best_epoch,
            "top": _plain(self.top),
            "progress": [value if math.isfinite(value) else None for value in self.progress],
            "progress_epoch": self.progress_epoch,
            "ended": self.ended,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Restores what `to_dict` returned, or what earlier versions wrote: no `top`, which the
        rules of then don't ask for, and one number as `progress`."""
        self.best, self.best_epoch = _score(saved["best"]), saved["best_epoch"]
        self.top = _score(saved.get("top", saved["best"]))
        progress = saved["progress"]
        values = progress if isinstance(progress, list) else [progress]
        known = values if self.best is not None else []
        self.progress = tuple(-math.inf if value is None else value for value in known)
        self.progress_epoch, self.ended = saved["progress_epoch"], saved["ended"]


def _plain(score: Score | None) -> list[float | None] | None:
    """A score as JSON holds it, which has no NaN."""
    if score is None:
        return None
    values = [score.value, score.tie_break, score.standard_error, score.log_loss]
    return [None if math.isnan(value) else value for value in values]


def _score(saved: list[float | None] | None) -> Score | None:
    """The score that `_plain` returned, or the two numbers that earlier versions wrote of one."""
    if saved is None:
        return None
    value, tie_break, *more = (math.nan if value is None else value for value in saved)
    return Score(value, tie_break, *more)
