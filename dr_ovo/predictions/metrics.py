"""Formulas of the point metrics: accuracy, kappa, F1, macro AUC, log loss, ECE (bins), Brier.

A metric that cannot be computed (a class is absent, all samples are on one side) is NaN, never an
error and never a substitute value. Files contain null and the reason instead of NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from dr_ovo.predictions.auc import binary_auc

ECE_BINS = 15


def confusion_matrix(targets: ArrayLike, predicted: ArrayLike, num_classes: int) -> np.ndarray:
    """Counts (C, C), int64: one row per true class, one column per predicted class."""
    weights = np.ones((np.size(targets), 1))
    return weighted_confusions(targets, predicted, num_classes, weights)[0].astype(np.int64)


def weighted_confusions(
    targets: ArrayLike, predicted: ArrayLike, num_classes: int, weights: np.ndarray
) -> np.ndarray:
    """Sums of weights (R, C, C), one confusion matrix per weighting in (N, R)."""
    return Confusions(targets, predicted, num_classes).weighted(weights)


class Confusions:
    """The cells of a confusion matrix, found once for many weightings of the samples."""

    def __init__(self, targets: ArrayLike, predicted: ArrayLike, num_classes: int) -> None:
        """`targets` and `predicted` are (N,) classes from 0 to `num_classes` - 1."""
        cells = np.asarray(targets) * num_classes + np.asarray(predicted)
        self._sums = group_sums(cells, num_classes**2)
        self._shape = (-1, num_classes, num_classes)

    def weighted(self, weights: np.ndarray) -> np.ndarray:
        """Sums of weights (R, C, C), one confusion matrix per weighting in (N, R)."""
        return (self._sums @ weights).T.reshape(self._shape)


def group_sums(groups: np.ndarray, count: int) -> csr_array:
    """(count, N): its product with weights (N, R) is the sum of weights in each group.

    `groups` (N,) are the samples' groups, 0 to `count` - 1; others are in no sum. A sparse
    product reads each weight once; a dense one multiplies it by a 0 for each other group.
    """
    order = np.argsort(groups, kind="stable")
    ends = np.searchsorted(groups[order], np.arange(count + 1))
    members = order[ends[0] : ends[-1]]
    # float32, the type of resampling weights: no copy in each product.
    entries = (np.ones(len(members), np.float32), members, ends - ends[0])
    return csr_array(entries, shape=(count, len(groups)))


def accuracy(targets: ArrayLike, predicted: ArrayLike) -> float:
    """Share of samples that are predicted correctly, 0 to 1; NaN without samples."""
    hits = np.equal(targets, predicted)
    return float(hits.mean()) if hits.size else float("nan")


def balanced_accuracy(targets: ArrayLike, predicted: ArrayLike, num_classes: int) -> float:
    """Mean recall of the classes, 0 to 1; NaN where one of them has no sample.

    scikit-learn would leave absent classes out of the mean.
    """
    return float(_recalls(confusion_matrix(targets, predicted, num_classes)).mean())


def quadratic_kappa(targets: ArrayLike, predicted: ArrayLike, num_classes: int) -> float:
    """Cohen's kappa with quadratic weights, -1 to 1 (Cohen 1968).

    NaN where all targets and all predictions are the same class.
    """
    return float(kappa_of(confusion_matrix(targets, predicted, num_classes)))


def kappa_of(confusions: np.ndarray) -> np.ndarray:
    """Quadratic weighted kappa (...) of confusion matrices (..., C, C)."""
    classes = np.arange(confusions.shape[-1])
    penalty = (classes[:, None] - classes[None, :]) ** 2
    true_counts, predicted_counts = confusions.sum(axis=-1), confusions.sum(axis=-2)
    observed = (penalty * confusions).sum(axis=(-2, -1)) * confusions.sum(axis=(-2, -1))
    expected = np.einsum("...i,ij,...j->...", true_counts, penalty, predicted_counts)
    with np.errstate(invalid="ignore"):
        return 1 - observed / expected


def f1_of(confusions: np.ndarray, grade: int) -> np.ndarray:
    """F1 (...) of one class in confusion matrices (..., C, C); NaN where the class is absent."""
    present = confusions[..., grade, :].sum(axis=-1)
    predicted = confusions[..., :, grade].sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * confusions[..., grade, grade] / (present + predicted)
    return np.where(present > 0, f1, np.nan)


def _recalls(confusions: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.diagonal(confusions, axis1=-2, axis2=-1) / confusions.sum(axis=-1)


def macro_auc(targets: ArrayLike, probabilities: np.ndarray) -> float:
    """Mean one-vs-rest AUC of the classes of `probabilities` (N, C); NaN where one is absent."""
    targets = np.asarray(targets)
    classes = range(probabilities.shape[1])
    return float(np.mean([binary_auc(targets == c, probabilities[:, c]) for c in classes]))


def log_loss_binary(targets: ArrayLike, logits: ArrayLike) -> float:
    """Mean log loss in nats of targets (N,) in {0, 1} and logits (N,); NaN without samples."""
    signed = np.where(np.asarray(targets, dtype=bool), logits, np.negative(logits))
    return float(np.logaddexp(0.0, -signed).mean()) if signed.size else float("nan")


def sensitivity_specificity(positive: ArrayLike, called: ArrayLike) -> tuple[float, float]:
    """Sensitivity and specificity of calling samples positive.

    Both arguments are (N,) bool. Without positives or negatives the respective rate is NaN.
    """
    positive, called = np.asarray(positive, dtype=bool), np.asarray(called, dtype=bool)
    specificity, sensitivity = _recalls(confusion_matrix(positive, called, 2))
    return float(sensitivity), float(specificity)


def calibration_gaps(targets: ArrayLike, probabilities: np.ndarray) -> np.ndarray:
    """(15, N): correctness (0 or 1) minus confidence, in the row of each sample's confidence bin.

    The confidence is the probability of the most probable class; bins are (k/15, (k+1)/15].
    """
    confidence = probabilities.max(axis=1)
    hits = probabilities.argmax(axis=1) == targets
    bins = (np.ceil(confidence * ECE_BINS).astype(np.int64) - 1).clip(0, ECE_BINS - 1)
    gaps = np.zeros((ECE_BINS, len(confidence)))
    gaps[bins, np.arange(len(confidence))] = hits - confidence
    return gaps


def expected_calibration_error(targets: ArrayLike, probabilities: np.ndarray) -> float:
    """Mean gap between confidence and accuracy over 15 equal bins, 0 to 1 (Guo et al. 2017)."""
    gaps = calibration_gaps(targets, probabilities)
    return float(np.abs(gaps.sum(axis=1)).sum() / gaps.shape[1])


def brier_scores(targets: ArrayLike, probabilities: np.ndarray) -> np.ndarray:
    """(N,): squared error of the probabilities (N, C), summed over classes."""
    truth = np.asarray(targets)[:, None] == np.arange(probabilities.shape[1])
    return ((probabilities - truth) ** 2).sum(axis=1)


def brier(targets: ArrayLike, probabilities: np.ndarray) -> float:
    """Mean Brier score, summed over classes as in Brier (1950), 0 to 2."""
    return float(brier_scores(targets, probabilities).mean())
