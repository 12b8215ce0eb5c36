"""95 % confidence intervals: bootstrap of patients (number of draws, seed), formulas, reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dr_ovo.parallel import available_cores, in_threads
from dr_ovo.statistics.weighted_statistics import LEVEL, Statistic

RESAMPLES = 2000
SEED = 42
CHUNK = 64  # resamples computed at once: few enough to stay in the processor's cache


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; None and a reason where the value or the interval is missing."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """`value`, `low`, `high`; `value` None and `reason` where there is no value; all four keys,
        `low` and `high` None, where there is no interval."""
        if self.value is None:
            return {"value": None, "reason": self.reason}
        interval = {"value": self.value, "low": self.low, "high": self.high}
        return interval if self.reason is None else {**interval, "reason": self.reason}


def patients_repeat(patients: np.ndarray) -> bool:
    """True where a patient (N,) has more than one sample."""
    return len(np.unique(patients)) < len(patients)


def estimates(
    statistics: Sequence[Statistic], patients: np.ndarray, resamples: int = RESAMPLES
) -> list[Estimate]:
    """Each statistic of N samples with its 95 % interval.

    Where a patient (N,) repeats, patients are resampled for all statistics. Where none does, the
    formulas for independent samples are used (Wilson, DeLong), and images are resampled for
    statistics without a formula. Resamples in which a statistic is undefined (a rare grade was
    not drawn) are left out. Reproducible: the seed is fixed.
    """
    ones = np.ones((len(patients), 1))
    values = [float(statistic.compute(ones)[0]) for statistic in statistics]
    repeat = patients_repeat(patients)
    found = [_settled(s, v, repeat) for s, v in zip(statistics, values, strict=True)]
    unsettled = [index for index, estimate in enumerate(found) if estimate is None]
    rows = replicates([statistics[index] for index in unsettled], patients, resamples)
    for index, row in zip(unsettled, rows, strict=True):
        found[index] = _from_replicates(statistics[index], values[index], row, patients)
    return [estimate for estimate in found if estimate is not None]


def replicates(statistics: Sequence[Statistic], patients: np.ndarray, resamples: int) -> np.ndarray:
    """(K, R) values of K statistics over R resamples of the patients (N,) with replacement."""
    distinct, of_sample = np.unique(patients, return_inverse=True)
    count, rng = len(distinct), np.random.default_rng(SEED)
    rows = np.empty((len(statistics), resamples))
    for start in range(0, resamples if statistics else 0, CHUNK):
        part = slice(start, min(start + CHUNK, resamples))
        size = part.stop - part.start
        draws = rng.integers(count, size=(size, count)) + np.arange(size)[:, None] * count
        counts = np.bincount(draws.ravel(), minlength=size * count).reshape(size, count)
        # float32 represents every sum of counts below 16 million exactly.
        weights = np.ascontiguousarray(counts.T, dtype=np.float32)[of_sample]  # (N, size)
        rows[:, part] = [statistic.compute(weights) for statistic in statistics]
    return rows


def _settled(statistic: Statistic, value: float, repeat: bool) -> Estimate | None:
    """The estimate where it needs no resampling, else None."""
    if np.isnan(value):
        return Estimate(None, reason=statistic.undefined)
    if reason := statistic.without_interval(value):
        return Estimate(value, reason=reason)
    interval = None if repeat else statistic.closed_interval()
    return Estimate(value, *interval) if interval else None


def _from_replicates(
    statistic: Statistic, value: float, row: np.ndarray, patients: np.ndarray
) -> Estimate:
    defined = row[~np.isnan(row)]
    if len(defined) < len(row) / 2:
        return Estimate(value, reason="undefined in more than half of the resamples")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if low < high:
        # Resampling noise inflates a calibration error, so its interval can lie above the value.
        return Estimate(value, min(float(low), value), max(float(high), value))
    interval = statistic.constant_interval(patients)
    if interval is None:
        return Estimate(value, reason="all resamples agree: no spread to take an interval from")
    return Estimate(value, *interval)


def with_intervals(tree: Any, patients: np.ndarray) -> Any:
    """A tree of dicts and lists in which each statistic is replaced by its estimate, as JSON."""
    results = iter(estimates(list(_statistics(tree)), patients))
    return _filled(tree, results)


def each_with_intervals(trees: Sequence[Any], patients: np.ndarray) -> list[Any]:
    """`with_intervals` of each tree, on all cores.

    Each core draws the resamples once for all of its trees. No statistic that keeps its values,
    such as a `CachedStatistic`, may be in more than one tree.
    """
    cores = available_cores()
    groups = [list(trees[first::cores]) for first in range(cores)]
    found = in_threads(lambda group: with_intervals(group, patients), groups)
    return [found[number % cores][number // cores] for number in range(len(trees))]


def _statistics(node: Any) -> Iterator[Statistic]:
    """The statistics in a tree, in order."""
    if isinstance(node, Statistic):
        yield node
    elif isinstance(node, (dict, list)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _statistics(child)


def _filled(node: Any, results: Iterator[Estimate]) -> Any:
    """The tree with each statistic replaced, in the order of `_statistics`."""
    if isinstance(node, Statistic):
        return next(results).to_json()
    if isinstance(node, dict):
        return {key: _filled(child, results) for key, child in node.items()}
    return [_filled(child, results) for child in node] if isinstance(node, list) else node
