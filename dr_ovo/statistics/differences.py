"""Paired tests of two models on the same samples: McNemar, permutation test, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import betainc

from dr_ovo.decoding.tempering import log_probabilities
from dr_ovo.predictions.predictions_file import PER_SAMPLE, Predictions
from dr_ovo.statistics.intervals import RESAMPLES, SEED, Estimate, patients_repeat
from dr_ovo.statistics.model_statistics import accuracy_statistic
from dr_ovo.statistics.weighted_statistics import Statistic

CHUNK = 64  # permutations computed at once

Metric = Callable[[Predictions], Statistic]


@dataclass(frozen=True, eq=False)
class Difference(Statistic):
    """`first` minus `second`, two statistics of the same samples; its interval is bootstrapped."""

    first: Statistic
    second: Statistic

    def compute(self, weights: np.ndarray) -> np.ndarray:
        return self.first.compute(weights) - self.second.compute(weights)


def difference(metric: Metric, first: Predictions, second: Predictions) -> Difference:
    """A metric of `first` minus that of `second`, on the same samples in the same order."""
    one, other = metric(first), metric(second)
    return Difference(one.undefined, one, other)


def unpaired_difference(first: Estimate, second: Estimate) -> Estimate:
    """One estimate minus another of other patients, with its interval: from both intervals, by the
    method of variance estimates recovery (Zou & Donner, Statistics in Medicine 27 (2008) 1693)."""
    ends = (first.value, first.low, first.high, second.value, second.low, second.high)
    known = [number for number in ends if number is not None]
    if len(known) < len(ends):
        return Estimate(None, reason="one of the two has no value or no interval")
    value, low, high, other, other_low, other_high = known
    below = math.hypot(value - low, other_high - other)
    above = math.hypot(high - value, other - other_low)
    return Estimate(value - other, value - other - below, value - other + above)


def mcnemar(first: Predictions, second: Predictions) -> float:
    """Exact two-sided p value that two accuracies are equal, for independent samples.

    McNemar, Psychometrika 12 (1947) 153-157, by the binomial distribution; 1 where both models
    are correct on exactly the same samples.
    """
    correct, other = first.predicted == first.targets, second.predicted == second.targets
    only_first, only_second = int((correct & ~other).sum()), int((~correct & other).sum())
    fewer, more = sorted((only_first, only_second))
    if fewer == more:
        return 1.0
    return min(1.0, float(2 * betainc(more, fewer + 1, 0.5)))  # twice the lower tail


def permutation_test(
    metric: Metric, first: Predictions, second: Predictions, permutations: int = RESAMPLES
) -> float:
    """Two-sided p value that a metric of two models is equal, from swapping their predictions.

    All predictions for a patient are swapped together, so that two eyes count as one unit. The
    smallest value is 1 / (permutations + 1) (Phipson & Smyth 2010). NaN where undefined.
    """
    return exchange_test(pooled(metric, first, second), first.patient_ids, permutations)


def pooled(metric: Metric, first: Predictions, second: Predictions) -> Statistic:
    """A metric of the 2N predictions of both models, for `exchange_test`."""
    return metric(_concatenated(first, second))


def exchange_test(both: Statistic, patient_ids: np.ndarray, permutations: int = RESAMPLES) -> float:
    """`permutation_test` of a `pooled` statistic, or of the mean of several (such as seeds)."""
    observed = _swapped(both, np.zeros((len(patient_ids), 1), dtype=np.float32))[0]
    if np.isnan(observed):
        return float("nan")
    patients, of_sample = np.unique(patient_ids, return_inverse=True)
    rng, extreme, drawn = np.random.default_rng(SEED), 0, 0
    for start in range(0, permutations, CHUNK):
        size = min(CHUNK, permutations - start)
        swap = rng.integers(0, 2, size=(len(patients), size)).astype(np.float32)[of_sample]
        differences = _swapped(both, swap)
        differences = differences[~np.isnan(differences)]
        extreme += int((np.abs(differences) >= abs(observed) - 1e-9).sum())
        drawn += len(differences)
    return (extreme + 1) / (drawn + 1)


def _concatenated(first: Predictions, second: Predictions) -> Predictions:
    """The 2N predictions of both models, with distinct sample ids: duplicates are refused."""
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), getattr(second, name)])
        for name in PER_SAMPLE
        if name != "logits"  # their width depends on the head
    }
    ids = [np.char.add(f"{number}/", p.sample_ids) for number, p in enumerate((first, second))]
    arrays["sample_ids"] = np.concatenate(ids)
    arrays["logits"] = log_probabilities(arrays["probabilities"])
    return replace(first, head="ensemble", pairs=np.zeros((0, 2), dtype=np.int64), **arrays)


def _swapped(both: Statistic, swap: np.ndarray) -> np.ndarray:
    """(R,) differences; `swap` (N, R), of 0 and 1, says which predictions are swapped."""
    three = np.concatenate([swap, 1 - swap, swap])
    return both.compute(three[len(swap) :]) - both.compute(three[: 2 * len(swap)])


def accuracy_p_value(first: Predictions, second: Predictions) -> float:
    """McNemar's exact test where no patient repeats, else a permutation test by patient."""
    if patients_repeat(first.patient_ids):
        return permutation_test(accuracy_statistic, first, second)
    return mcnemar(first, second)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for multiple comparisons (Holm 1979); NaN stays NaN and is not counted."""
    values = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    corrected = np.full(len(values), np.nan)
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in corrected]
