"""Values with 95 % intervals: by patients where they repeat, by images where they don't."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dr_ovo.statistics.weighted_statistics import LEVEL, Statistic

RESAMPLES = 2000
SEED = 42
CHUNK = 64  # resamples held at once: few enough to stay in the processor's cache


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; None with the reason where there is no value or no interval."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """`value`, `low`, `high`; or `value` None and `reason`; or all, `low` and `high` None."""
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

    Where a patient (N,) repeats, patients are resampled for everything. Where none does, formulas
    serve that hold for independent samples (Wilson, DeLong), and images are resampled for what
    has none. Resamples that leave a statistic undefined (a rare grade was not drawn) are left out.
    Repeatable: the seed is fixed.
    """
    ones = np.ones((len(patients), 1))
    values = [float(statistic.compute(ones)[0]) for statistic in statistics]
    found = [_settled(s, v, patients) for s, v in zip(statistics, values, strict=True)]
    open_ones = [index for index, estimate in enumerate(found) if estimate is None]
    drawn = replicates([statistics[index] for index in open_ones], patients, resamples)
    for index, row in zip(open_ones, drawn, strict=True):
        found[index] = _from_replicates(statistics[index], values[index], row, patients)
    return [estimate for estimate in found if estimate is not None]


def replicates(statistics: Sequence[Statistic], patients: np.ndarray, resamples: int) -> np.ndarray:
    """(K, R) values of K statistics over R resamples of the patients (N,) with replacement."""
    distinct, of_sample = np.unique(patients, return_inverse=True)
    count, random = len(distinct), np.random.default_rng(SEED)
    rows = np.empty((len(statistics), resamples))
    for start in range(0, resamples if statistics else 0, CHUNK):
        part = slice(start, min(start + CHUNK, resamples))
        size = part.stop - part.start
        draws = random.integers(count, size=(size, count)) + np.arange(size)[:, None] * count
        times = np.bincount(draws.ravel(), minlength=size * count).reshape(size, count)
        # float32 holds every sum of counts below 16 million exactly.
        weights = np.ascontiguousarray(times.T, dtype=np.float32)[of_sample]  # (N, size)
        rows[:, part] = [statistic.compute(weights) for statistic in statistics]
    return rows


def _settled(statistic: Statistic, value: float, patients: np.ndarray) -> Estimate | None:
    """The estimate where no resampling is needed, else None."""
    if np.isnan(value):
        return Estimate(None, reason=statistic.undefined)
    if reason := statistic.without_interval(value):
        return Estimate(value, reason=reason)
    interval = None if patients_repeat(patients) else statistic.closed_interval()
    return Estimate(value, *interval) if interval else None


def _from_replicates(
    statistic: Statistic, value: float, row: np.ndarray, patients: np.ndarray
) -> Estimate:
    defined = row[~np.isnan(row)]
    if len(defined) < len(row) / 2:
        return Estimate(value, reason="undefined in more than half of the resamples")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if low < high:
        # Resampling noise adds to a calibration error, so its interval can lie above the value.
        return Estimate(value, min(float(low), value), max(float(high), value))
    interval = statistic.constant_interval(patients)
    if interval is None:
        return Estimate(value, reason="all resamples agree, which shows no spread")
    return Estimate(value, *interval)


def with_intervals(tree: Any, patients: np.ndarray) -> Any:
    """A tree of dicts and lists with each statistic in it replaced by its estimate's values."""
    found = iter(estimates(list(_statistics(tree)), patients))
    return _filled(tree, found)


def _statistics(node: Any) -> Iterator[Statistic]:
    """The statistics in a tree, in order."""
    if isinstance(node, Statistic):
        yield node
    elif isinstance(node, (dict, list)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _statistics(child)


def _filled(node: Any, found: Iterator[Estimate]) -> Any:
    """The tree with each statistic replaced, in the order of `_statistics`."""
    if isinstance(node, Statistic):
        return next(found).to_json()
    if isinstance(node, dict):
        return {key: _filled(child, found) for key, child in node.items()}
    return [_filled(child, found) for child in node] if isinstance(node, list) else node
