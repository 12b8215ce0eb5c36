"""Formulas of the diversity measures: Q, correlation, disagreement, double fault, entropy.

Kuncheva & Whitaker, Machine Learning 51 (2003) 181-207. All measures but kappa only consider
whether a grade is correct. For two models, a counts the images that both grade correctly, b those
of only the first, c those of only the second, d those of neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dr_ovo.ensembles.combination import mean_predictions
from dr_ovo.predictions.metrics import Confusions, group_sums
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.weighted_statistics import Proportion, Resampled, Statistic


def q_of(counts: np.ndarray) -> np.ndarray:
    """Yule's Q (...), -1 to 1, of a, b, c, d (4, ...): (ad - bc) / (ad + bc)."""
    a, b, c, d = counts
    with np.errstate(invalid="ignore"):
        return (a * d - b * c) / (a * d + b * c)


def correlation_of(counts: np.ndarray) -> np.ndarray:
    """The correlation of correctness (...), -1 to 1, of a, b, c, d (4, ...)."""
    a, b, c, d = counts
    with np.errstate(invalid="ignore"):
        return (a * d - b * c) / np.sqrt((a + b) * (c + d) * (a + c) * (b + d))


def agreement_of(confusions: np.ndarray) -> np.ndarray:
    """Cohen's kappa (...), unweighted, of confusion matrices (..., C, C)."""
    total = confusions.sum(axis=(-2, -1))
    found = np.trace(confusions, axis1=-2, axis2=-1) / total
    chance = (confusions.sum(axis=-1) * confusions.sum(axis=-2)).sum(axis=-1) / total**2
    with np.errstate(invalid="ignore"):
        return np.where(chance < 1, (found - chance) / (1 - chance), np.nan)


def pair_diversity(first: Predictions, second: Predictions) -> dict[str, Statistic]:
    """Q, correlation, disagreement, double fault and kappa of two models' predictions."""
    first_correct, second_correct = (p.predicted == p.targets for p in (first, second))
    everywhere = np.ones(len(first_correct), dtype=bool)
    reason = _one_sided(first_correct, second_correct)
    same = "both models give all images one and the same grade"
    confusions = Confusions(first.predicted, second.predicted, first.num_classes)
    return {
        "q": _of_counts(q_of, first_correct, second_correct, reason),
        "correlation": _of_counts(correlation_of, first_correct, second_correct, reason),
        "disagreement": Proportion("no images", first_correct != second_correct, everywhere),
        "double_fault": Proportion("no images", ~(first_correct | second_correct), everywhere),
        "kappa": Resampled(
            same, lambda weights: agreement_of(confusions.weighted(weights).astype(np.float64))
        ),
    }


def _of_counts(
    function: Callable[[np.ndarray], np.ndarray], first: np.ndarray, second: np.ndarray, reason: str
) -> Resampled:
    sums = group_sums(3 - 2 * first.astype(np.int64) - second, 4)
    return Resampled(reason, lambda weights: function((sums @ weights).astype(np.float64)))


def _one_sided(first_correct: np.ndarray, second_correct: np.ndarray) -> str:
    """Why Q and correlation are undefined: only where a model is always correct or always wrong."""
    side = "right" if first_correct.all() or second_correct.all() else "wrong"
    return f"one of the two is {side} on every image"


def set_diversity(members: Sequence[Predictions]) -> dict[str, Statistic]:
    """Over L models: entropy, Kohavi-Wolpert variance, shares that all or any grade correctly.

    With l models correct on an image: the entropy is the mean of min(l, L - l) / floor(L / 2), 0
    to 1; the variance is the mean of l (L - l) / L^2, which is (L - 1) / 2L times the mean
    disagreement.
    """
    models, correct = len(members), _correct_counts(members)
    split = np.minimum(correct, models - correct) / (models // 2)
    variance = correct * (models - correct) / models**2
    everywhere = np.ones(len(correct), dtype=bool)
    return {
        "entropy": _mean(split),
        "kohavi_wolpert": _mean(variance),
        "all_right": Proportion("no images", correct == models, everywhere),
        "any_right": Proportion("no images", correct > 0, everywhere),
    }


def _mean(values: np.ndarray) -> Resampled:
    """The mean of one value per image, (N,)."""
    summands = values.astype(np.float64)
    return Resampled("no images", lambda weights: summands @ weights / weights.sum(axis=0))


def _correct_counts(members: Sequence[Predictions]) -> np.ndarray:
    """(N,): how many members grade each image correctly."""
    counts: np.ndarray = np.sum([p.predicted == p.targets for p in members], axis=0)
    return counts


def mean_over(parts: Sequence[Statistic], undefined: str) -> Resampled:
    """The plain mean of several statistics; undefined where one of them is."""
    return Resampled(
        undefined, lambda weights: np.mean([p.compute(weights) for p in parts], axis=0)
    )


def overlap_statistics(members: Sequence[Predictions], grade: int) -> dict[str, Statistic]:
    """Of a grade's images: the shares that all models grade correctly, some miss, all miss."""
    own, correct = members[0].targets == grade, _correct_counts(members)
    absent, models = f"no image of grade {grade}", len(members)
    return {
        "all_right": Proportion(absent, correct == models, own),
        "some_wrong": Proportion(absent, (correct > 0) & (correct < models), own),
        "all_wrong": Proportion(absent, correct == 0, own),
    }


def wrong_counts(members: Sequence[Predictions], grade: int) -> list[int]:
    """How many of a grade's images are missed by 0, 1, ... L models: L + 1 numbers."""
    own = members[0].targets == grade
    wrong = len(members) - _correct_counts(members)[own]
    return [int(count) for count in np.bincount(wrong, minlength=len(members) + 1)]


def all_wrong_by_chance(members: Sequence[Predictions], grade: int) -> float | None:
    """The share of a grade that all models would miss if their errors were independent."""
    own = members[0].targets == grade
    if not own.any():
        return None
    return float(np.prod([(p.predicted[own] != grade).mean() for p in members]))


def without_each(members: Sequence[Predictions]) -> list[Predictions]:
    """For each member, the mean ensemble of all the others."""
    return [
        mean_predictions([p for other, p in enumerate(members) if other != left_out])
        for left_out in range(len(members))
    ]
