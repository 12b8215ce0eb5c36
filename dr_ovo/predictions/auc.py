"""The area under the ROC curve: weighted for many resamples at once, and DeLong's variance."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


class RankedScores:
    """Scores sorted once, so that each weighting of the samples costs one cumulative sum."""

    def __init__(self, positive: np.ndarray, negative: np.ndarray, scores: np.ndarray) -> None:
        """`positive` and `negative` are (N,) bool; samples in neither take no part."""
        self._positives = np.flatnonzero(positive)
        negatives = np.flatnonzero(negative)
        self._negatives = negatives[np.argsort(scores[negatives], kind="stable")]
        ordered = scores[self._negatives]
        # Negatives strictly below each positive, and those not above it; a tie counts half.
        self._below = np.searchsorted(ordered, scores[self._positives], side="left")
        self._not_above = np.searchsorted(ordered, scores[self._positives], side="right")

    def auc(self, weights: np.ndarray) -> np.ndarray:
        """AUC (R,) for the weightings (N, R); NaN where a side has no weight."""
        negatives = np.zeros((len(self._negatives) + 1, weights.shape[1]), weights.dtype)
        np.cumsum(weights[self._negatives], axis=0, out=negatives[1:])
        positives = weights[self._positives]
        beaten = negatives[self._below]
        beaten += negatives[self._not_above]
        area = np.einsum("nr,nr->r", positives, beaten).astype(np.float64) / 2
        comparisons = positives.sum(axis=0, dtype=np.float64) * negatives[-1]
        with np.errstate(invalid="ignore"):
            return area / comparisons


def binary_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve, 0 to 1; NaN where all samples (N,) are of one side.

    `positive` is (N,) bool, `scores` (N,) higher for the positive. Equals scikit-learn's
    `roc_auc_score`.
    """
    positive = np.asarray(positive, dtype=bool)
    ranked = RankedScores(positive, ~positive, np.asarray(scores))
    return float(ranked.auc(np.ones((len(positive), 1)))[0])


def delong_variance(positive_scores: np.ndarray, negative_scores: np.ndarray) -> float:
    """Variance of the AUC of m positives and n negatives; NaN where a side has fewer than two.

    DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837-845, by the midranks of Sun & Xu,
    IEEE Signal Processing Letters 21 (2014) 1389-1393: O((m + n) log(m + n)).
    """
    m, n = len(positive_scores), len(negative_scores)
    if min(m, n) < 2:
        return float("nan")
    together = rankdata(np.concatenate([positive_scores, negative_scores]))
    # The share of negatives that each positive beats, and of positives that beat each negative.
    by_positive = (together[:m] - rankdata(positive_scores)) / n
    by_negative = 1 - (together[m:] - rankdata(negative_scores)) / m
    return float(by_positive.var(ddof=1) / m + by_negative.var(ddof=1) / n)
