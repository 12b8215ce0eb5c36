"""Area under the ROC curve: weighted, for many resamples at once, and DeLong's variance."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

BLOCK = 16  # rows whose cumulative sums are taken together


class RankedScores:
    """Scores sorted once, so that each weighting of the samples costs only sums."""

    def __init__(self, positive: np.ndarray, negative: np.ndarray, scores: np.ndarray) -> None:
        """`positive` and `negative` are (N,) bool; samples in neither are ignored."""
        self._positives = np.flatnonzero(positive)
        negatives = np.flatnonzero(negative)
        negatives = negatives[np.argsort(scores[negatives], kind="stable")]
        ordered = scores[negatives]
        # How many negatives score below each positive, and how many not above it; ties count half.
        below = np.searchsorted(ordered, scores[self._positives], side="left")
        not_above = np.searchsorted(ordered, scores[self._positives], side="right")
        # Cumulative sums are only needed at the ends of steps, of which there may be few.
        ends, which = np.unique(
            np.concatenate([below, not_above, [len(negatives)]]), return_inverse=True
        )
        self._below, self._not_above = which[: len(below)], which[len(below) : -1]
        self._ties = bool((below != not_above).any())
        self._steps = csr_array(
            (np.ones(len(negatives), np.float32), negatives, np.concatenate([[0], ends])),
            shape=(len(ends), len(scores)),
        )

    def auc(self, weights: np.ndarray) -> np.ndarray:
        """AUC (R,) for the weightings (N, R); NaN where either side has no weight."""
        negatives_up_to = cumulated(self._steps @ weights)
        positives = weights[self._positives]
        negatives_below = negatives_up_to[self._below]
        if self._ties:
            negatives_below += negatives_up_to[self._not_above]
        area = np.einsum("nr,nr->r", positives, negatives_below).astype(np.float64)
        area /= 2 if self._ties else 1
        comparisons = positives.sum(axis=0).astype(np.float64) * negatives_up_to[-1]
        with np.errstate(invalid="ignore"):
            return area / comparisons


def cumulated(rows: np.ndarray) -> np.ndarray:
    """Cumulative sums (N, R) down the columns of `rows` (N, R).

    Equals `cumsum(axis=0)` of whole numbers, but adds the rows of all blocks at once, then to each
    block the sum of those before it.
    """
    count, width = rows.shape
    if count <= BLOCK:
        return np.cumsum(rows, axis=0, dtype=rows.dtype)
    blocks = np.zeros((-(-count // BLOCK), BLOCK, width), rows.dtype)
    sums = blocks.reshape(-1, width)[:count]
    sums[:] = rows
    for row in range(1, BLOCK):
        blocks[:, row] += blocks[:, row - 1]
    blocks[1:] += cumulated(blocks[:-1, -1])[:, None]
    return sums


def binary_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve, 0 to 1; NaN where all samples (N,) are on one side.

    `positive` is (N,) bool; higher `scores` (N,) mean positive. Equals scikit-learn's
    `roc_auc_score`.
    """
    positive = np.asarray(positive, dtype=bool)
    ranked = RankedScores(positive, ~positive, np.asarray(scores))
    return float(ranked.auc(np.ones((len(positive), 1)))[0])


def delong_variance(positive_scores: np.ndarray, negative_scores: np.ndarray) -> float:
    """Variance of the AUC of m positives and n negatives; NaN with fewer than two of either.

    DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837-845, by sorting as Sun & Xu do, IEEE
    Signal Processing Letters 21 (2014) 1389-1393: O((m + n) log(m + n)).
    """
    m, n = len(positive_scores), len(negative_scores)
    if min(m, n) < 2:
        return float("nan")
    # Share of negatives below each positive, and share of positives above each negative.
    by_positive = _beaten(positive_scores, negative_scores) / n
    by_negative = 1 - _beaten(negative_scores, positive_scores) / m
    return float(by_positive.var(ddof=1) / m + by_negative.var(ddof=1) / n)


def _beaten(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) how many of `others` are below each of `scores` (n,); ties count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left")
    return (below + np.searchsorted(ordered, scores, side="right")) / 2
