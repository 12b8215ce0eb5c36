"""Is one model better than another on the same samples, or is it chance? Paired, always."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import binomtest

from dr_ovo.predictions.predictions_file import PER_SAMPLE, Predictions, log_probabilities
from dr_ovo.statistics.intervals import RESAMPLES, SEED, patients_repeat
from dr_ovo.statistics.model_statistics import accuracy_statistic
from dr_ovo.statistics.weighted_statistics import Statistic

CHUNK = 64  # permutations held at once

Metric = Callable[[Predictions], Statistic]


@dataclass(frozen=True, eq=False)
class Difference(Statistic):
    """`first` minus `second`, two statistics of the same samples; its interval is resampled."""

    first: Statistic
    second: Statistic

    def compute(self, weights: np.ndarray) -> np.ndarray:
        return self.first.compute(weights) - self.second.compute(weights)


def difference(metric: Metric, first: Predictions, second: Predictions) -> Difference:
    """A metric of `first` minus that of `second`, on the same samples in the same order."""
    one, other = metric(first), metric(second)
    return Difference(one.undefined, one, other)


def mcnemar(first: Predictions, second: Predictions) -> float:
    """Exact two-sided p value that two accuracies are equal, for independent samples.

    McNemar, Psychometrika 12 (1947) 153-157, by the binomial distribution; 1 where the models are
    right on the same samples.
    """
    right, other = first.predicted == first.targets, second.predicted == second.targets
    only_first, only_second = int((right & ~other).sum()), int((~right & other).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def permutation_test(
    metric: Metric, first: Predictions, second: Predictions, permutations: int = RESAMPLES
) -> float:
    """Two-sided p value that a metric of two models is equal, from exchanging their answers.

    A patient's answers of both models change sides together, so that two eyes count as one. The
    smallest value is 1 / (permutations + 1) (Phipson & Smyth 2010). NaN where undefined.
    """
    return exchange_test(pooled(metric, first, second), first.patient_ids, permutations)


def pooled(metric: Metric, first: Predictions, second: Predictions) -> Statistic:
    """A metric of the 2N answers of both models, for `exchange_test`."""
    return metric(_one_after_the_other(first, second))


def exchange_test(both: Statistic, patient_ids: np.ndarray, permutations: int = RESAMPLES) -> float:
    """`permutation_test` of a `pooled` statistic, or of the mean of several (as of seeds)."""
    observed = _swapped(both, np.zeros((len(patient_ids), 1), dtype=np.float32))[0]
    if np.isnan(observed):
        return float("nan")
    patients, of_sample = np.unique(patient_ids, return_inverse=True)
    random, extreme, drawn = np.random.default_rng(SEED), 0, 0
    for start in range(0, permutations, CHUNK):
        size = min(CHUNK, permutations - start)
        swap = random.integers(0, 2, size=(len(patients), size)).astype(np.float32)[of_sample]
        differences = _swapped(both, swap)
        differences = differences[~np.isnan(differences)]
        extreme += int((np.abs(differences) >= abs(observed) - 1e-9).sum())
        drawn += len(differences)
    return (extreme + 1) / (drawn + 1)


def _one_after_the_other(first: Predictions, second: Predictions) -> Predictions:
    """The 2N answers of both models; ids are told apart, since no sample may stand twice."""
    held: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), getattr(second, name)])
        for name in PER_SAMPLE
        if name != "logits"  # of other heads, of another width
    }
    marked = [np.char.add(f"{number}/", p.sample_ids) for number, p in enumerate((first, second))]
    held["sample_ids"] = np.concatenate(marked)
    held["logits"] = log_probabilities(held["probabilities"])
    return replace(first, head="ensemble", pairs=np.zeros((0, 2), dtype=np.int64), **held)


def _swapped(both: Statistic, swap: np.ndarray) -> np.ndarray:
    """(R,) differences where `swap` (N, R), of 0 and 1, says whose answers change sides."""
    return both.compute(np.concatenate([1 - swap, swap])) - both.compute(
        np.concatenate([swap, 1 - swap])
    )


def accuracy_p_value(first: Predictions, second: Predictions) -> float:
    """McNemar's exact test where patients don't repeat, else the permutation of patients."""
    if patients_repeat(first.patient_ids):
        return permutation_test(accuracy_statistic, first, second)
    return mcnemar(first, second)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979); NaN stays NaN and does not count."""
    values = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    corrected = np.full(len(values), np.nan)
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in corrected]
