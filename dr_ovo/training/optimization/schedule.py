"""Learning-rate schedules with warm-up; the order of images in an epoch (samplers)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dr_ovo.settings.groups.schedule import ScheduleOptions

PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.5, 5
_ORDER_STREAM = 0  # keeps the random numbers of the order apart from those of augmentation


@dataclass(frozen=True)
class Schedule:
    """The learning rate at every step: warm-up to `peak`, then down to `floor` as `kind` says.

    `kind`: cosine, linear, plateau (scaled by val loss, see Plateau) or none. `total` and
    `warmup` count optimizer steps of one branch over the whole run.
    """

    kind: str
    peak: float
    floor: float
    total: int
    warmup: int

    def rate(self, step: int, scale: float = 1.0) -> float:
        """The learning rate of step `step` (0-based); `scale` is the plateau's."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        if self.kind == "none":
            return self.peak
        if self.kind == "plateau":
            return max(self.floor, self.peak * scale)
        progress = min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))
        share = 1 - progress if self.kind == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return self.floor + (self.peak - self.floor) * share


def create_schedule(options: ScheduleOptions, epoch_steps: int) -> Schedule:
    """The schedule of a branch with `epoch_steps` optimizer steps per epoch.

    A warm-up as long as the run would never reach the peak: it becomes a tenth of the run.
    """
    total = options.epochs * epoch_steps
    fits = options.warmup_epochs < options.epochs
    warmup = options.warmup_epochs * epoch_steps if fits else max(1, total // 10)
    return Schedule(options.scheduler, options.learning_rate, options.min_lr, total, warmup)


@dataclass
class Plateau:
    """Halves the rate when val loss has not fallen for PLATEAU_PATIENCE epochs."""

    scale: float = 1.0
    best: float = math.inf
    stale: int = 0

    def update(self, val_loss: float | None) -> None:
        """Registers the val loss of an epoch; None, where val has no image of a branch, tells
        nothing."""
        if val_loss is None:
            return
        if val_loss < self.best:
            self.best, self.stale = val_loss, 0
            return
        self.stale += 1
        if self.stale > PLATEAU_PATIENCE:
            self.scale, self.stale = self.scale * PLATEAU_FACTOR, 0

    def state_dict(self) -> dict[str, Any]:
        """Plain values for the resume state."""
        return {"scale": self.scale, "best": self.best, "stale": self.stale}


def epoch_order(
    targets: np.ndarray, sampler: str, seed: int, epoch: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """(N,) positions in train, in the order of an epoch; a function of (seed, epoch) alone.

    `natural`: every image once. `balanced`: N images with each grade equally often; the images of
    a rare grade repeat, those of a common grade take turns over the epochs. The number of images
    per grade is the same in every epoch, so that every branch knows its number of steps in advance.
    With `weights` (N,) from a manifest, `balanced` draws each image in proportion to its weight.
    """
    rng = np.random.default_rng([seed, epoch, _ORDER_STREAM])
    if sampler == "natural":
        return rng.permutation(len(targets))
    counts = balanced_counts(targets, weights)
    chosen = []
    for grade, count in enumerate(counts):
        members = np.flatnonzero(targets == grade)
        if weights is not None:
            chosen.append(_systematic_sample(rng.permutation(members), weights, count, rng))
            continue
        rounds = [rng.permutation(members) for _ in range(-(-count // max(1, len(members))))]
        chosen.append(np.concatenate([*rounds, members[:0]])[:count])
    return rng.permutation(np.concatenate(chosen))


def balanced_counts(targets: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(C,) the number of images per grade in a balanced epoch of N images.

    Equal numbers, or in proportion to the sum of `weights` (N,) per grade; what rounding leaves
    over goes to the largest remainders, lower grades first.
    """
    classes = int(targets.max()) + 1
    equal = np.ones(classes)
    totals = equal if weights is None else np.bincount(targets, weights, minlength=classes) * equal
    exact = np.round(len(targets) * totals / totals.sum(), 2)  # weights have few digits
    counts = np.floor(exact).astype(np.int64)
    rest = len(targets) - int(counts.sum())
    counts[np.argsort(-(exact - counts), kind="stable")[:rest]] += 1
    return counts


def _systematic_sample(
    members: np.ndarray, weights: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """(count,) of `members`, each as often as its share rounded down or up: systematic sampling
    (Madow 1949), with a random start and equal steps along the cumulative weights."""
    if not count:
        return members[:0]
    edges = np.cumsum(weights[members])
    points = (rng.uniform() + np.arange(count)) * edges[-1] / count
    return members[np.minimum(np.searchsorted(edges, points, side="right"), len(members) - 1)]
