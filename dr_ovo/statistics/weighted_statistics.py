"""Statistics as functions of the samples' weights: ones give the value, counts a resample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.stats import binomtest, norm

from dr_ovo.predictions.auc import RankedScores, delong_variance

LEVEL = 0.95
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Statistic(ABC):
    """One figure of N samples, and what is known about its 95 % interval beside resampling."""

    undefined: str  # the reason to give where the value cannot be computed

    @abstractmethod
    def compute(self, weights: np.ndarray) -> np.ndarray:
        """The figure (R,) for R weightings (N, R) of the samples; NaN where undefined."""

    def closed_interval(self) -> Interval | None:
        """The interval from a formula for independent samples; None where there is none."""
        return None

    def constant_interval(self, patients: np.ndarray) -> Interval | None:
        """The interval where all resamples agree, `patients` (N,) being what was resampled."""
        return None

    def without_interval(self, value: float) -> str | None:
        """Why `value` can have no interval; None where it can."""
        return None


@dataclass(frozen=True, eq=False)
class Resampled(Statistic):
    """Any figure that only resampling gives an interval."""

    function: Callable[[np.ndarray], np.ndarray]

    def compute(self, weights: np.ndarray) -> np.ndarray:
        return self.function(weights)


@dataclass(frozen=True, eq=False)
class Proportion(Statistic):
    """The share of `hits` (N,) bool among the samples in `among` (N,) bool."""

    hits: np.ndarray
    among: np.ndarray

    def compute(self, weights: np.ndarray) -> np.ndarray:
        rows = np.stack([self.hits & self.among, self.among]).astype(weights.dtype)
        hits, among = (rows @ weights).astype(np.float64)
        with np.errstate(invalid="ignore"):
            return hits / among

    def closed_interval(self) -> Interval:
        return wilson(int((self.hits & self.among).sum()), int(self.among.sum()))

    def constant_interval(self, patients: np.ndarray) -> Interval:
        independent = len(np.unique(patients[self.among]))
        share = self.hits[self.among].mean()
        return wilson(round(share * independent), independent)


@dataclass(frozen=True, eq=False)
class Auc(Statistic):
    """The AUC of `scores` (N,) between the samples in `positive` and in `negative` (N,) bool."""

    positive: np.ndarray
    negative: np.ndarray
    scores: np.ndarray

    @cached_property
    def _ranked(self) -> RankedScores:
        return RankedScores(self.positive, self.negative, self.scores)

    def compute(self, weights: np.ndarray) -> np.ndarray:
        return self._ranked.auc(weights)

    def closed_interval(self) -> Interval:
        """DeLong's, cut to 0..1."""
        value = float(self.compute(np.ones((len(self.scores), 1)))[0])
        variance = delong_variance(self.scores[self.positive], self.scores[self.negative])
        reach = float(norm.ppf((1 + LEVEL) / 2)) * variance**0.5
        return max(value - reach, 0.0), min(value + reach, 1.0)

    def without_interval(self, value: float) -> str | None:
        if value in (0.0, 1.0):
            return "an AUC of exactly 0 or 1 shows no spread to make an interval of"
        if min(self.positive.sum(), self.negative.sum()) < 2:
            return "one side has a single image"
        return None


@dataclass(frozen=True, eq=False)
class Remembered(Statistic):
    """A statistic that stands by itself and in differences, computed once for all of them.

    It keeps the figures of the last weights that it was given: an object serves one thread.
    """

    inner: Statistic
    _last: list[np.ndarray] = field(default_factory=list, init=False, repr=False)

    def compute(self, weights: np.ndarray) -> np.ndarray:
        if not self._last or self._last[0] is not weights:
            self._last[:] = [weights, self.inner.compute(weights)]
        return self._last[1]

    def closed_interval(self) -> Interval | None:
        return self.inner.closed_interval()

    def constant_interval(self, patients: np.ndarray) -> Interval | None:
        return self.inner.constant_interval(patients)

    def without_interval(self, value: float) -> str | None:
        return self.inner.without_interval(value)


def mean_of(parts: list[Proportion] | list[Auc], undefined: str) -> Resampled:
    """The plain mean of several figures; undefined where one of them is."""
    return Resampled(
        undefined, lambda weights: np.mean([p.compute(weights) for p in parts], axis=0)
    )


def wilson(hits: int, trials: int) -> Interval:
    """Wilson's 95 % score interval of a proportion (Wilson 1927), as scipy computes it."""
    found = binomtest(hits, trials).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)
