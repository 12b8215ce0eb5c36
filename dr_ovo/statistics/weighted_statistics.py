"""Kinds of statistics and the formulas of their intervals: Wilson, DeLong; confidence level."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array
from scipy.special import ndtri

from dr_ovo.predictions.auc import RankedScores, delong_variance
from dr_ovo.predictions.metrics import group_sums

LEVEL = 0.95
REACH = float(ndtri((1 + LEVEL) / 2))  # of the interval, in standard errors
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Statistic(ABC):
    """A metric of N samples as a function of their weights, and its intervals beside resampling.

    Weights of one give the value; how often each sample was drawn gives the value on a resample.
    """

    undefined: str  # the reason reported where the value cannot be computed

    @abstractmethod
    def compute(self, weights: np.ndarray) -> np.ndarray:
        """The metric (R,) for R weightings (N, R) of the samples; NaN where undefined."""

    def closed_interval(self) -> Interval | None:
        """The interval from a formula for independent samples; None where there is none."""
        return None

    def constant_interval(self, patients: np.ndarray) -> Interval | None:
        """The interval where all resamples of `patients` (N,) agree; None where there is none."""
        return None

    def without_interval(self, value: float) -> str | None:
        """Why `value` cannot have an interval; None where it can."""
        return None


@dataclass(frozen=True, eq=False)
class Resampled(Statistic):
    """Any metric whose interval can only come from resampling."""

    function: Callable[[np.ndarray], np.ndarray]

    def compute(self, weights: np.ndarray) -> np.ndarray:
        return self.function(weights)


@dataclass(frozen=True, eq=False)
class Proportion(Statistic):
    """The share of `hits` (N,) bool among the samples in `among` (N,) bool."""

    hits: np.ndarray
    among: np.ndarray

    @cached_property
    def _sums(self) -> csr_array:
        return group_sums(np.where(self.among, self.hits, -1), 2)

    def compute(self, weights: np.ndarray) -> np.ndarray:
        misses, hits = (self._sums @ weights).astype(np.float64)
        with np.errstate(invalid="ignore"):
            return np.asarray(hits / (hits + misses))

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
        """DeLong's interval, clipped to 0..1."""
        value = float(self.compute(np.ones((len(self.scores), 1)))[0])
        variance = delong_variance(self.scores[self.positive], self.scores[self.negative])
        margin = REACH * variance**0.5
        return max(value - margin, 0.0), min(value + margin, 1.0)

    def without_interval(self, value: float) -> str | None:
        if value in (0.0, 1.0):
            return "an AUC of exactly 0 or 1 has no spread to take an interval from"
        if min(self.positive.sum(), self.negative.sum()) < 2:
            return "one of the two sides has a single image"
        return None


@dataclass(frozen=True, eq=False)
class CachedStatistic(Statistic):
    """A statistic reported by itself and in differences, computed once for all of them.

    It caches the values for the last weights: do not share an object between threads.
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
    """The plain mean of several statistics; undefined where one of them is."""
    return Resampled(
        undefined, lambda weights: np.mean([p.compute(weights) for p in parts], axis=0)
    )


def wilson(hits: int, trials: int) -> Interval:
    """Wilson's 95 % score interval of a proportion (Wilson 1927), as Newcombe (1998) writes it."""
    share, width = hits / trials, 2 * (trials + REACH**2)
    centre = (2 * trials * share + REACH**2) / width
    reach = REACH / width * (4 * trials * share * (1 - share) + REACH**2) ** 0.5
    return (centre - reach if hits else 0.0), (centre + reach if hits < trials else 1.0)
