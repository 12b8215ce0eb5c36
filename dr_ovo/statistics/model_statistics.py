"""Every metric of one model as a statistic that can be given an interval.

Grades come from the decoder; AUCs, operating points and calibration errors use probabilities.
"""

from __future__ import annotations

import numpy as np

from dr_ovo.pairs import Pair, class_pairs
from dr_ovo.predictions.metrics import (
    Confusions,
    brier_scores,
    calibration_gaps,
    f1_of,
    kappa_of,
)
from dr_ovo.predictions.operating_points import CONDITIONS, summed_probability
from dr_ovo.predictions.predictions_file import Predictions, pair_logits
from dr_ovo.statistics.weighted_statistics import Auc, Proportion, Resampled, mean_of


def accuracy_statistic(p: Predictions) -> Proportion:
    """The share of images with a correct grade."""
    return Proportion("no images", p.predicted == p.targets, np.ones(len(p.targets), dtype=bool))


def balanced_accuracy_statistic(p: Predictions) -> Resampled:
    """The mean recall of the grades; undefined where one is absent."""
    return mean_of([recall_statistic(p, grade) for grade in range(p.num_classes)], _absent(p))


def kappa_statistic(p: Predictions) -> Resampled:
    """Quadratic weighted kappa."""
    confusions = _confusions(p)
    return Resampled(
        "all images are of one grade and were predicted as such",
        lambda weights: kappa_of(confusions.weighted(weights)),
    )


def macro_auc_statistic(p: Predictions) -> Resampled:
    """The mean one-vs-rest AUC of the grades; undefined where one is absent."""
    return mean_of([class_auc_statistic(p, grade) for grade in range(p.num_classes)], _absent(p))


def recall_statistic(p: Predictions, grade: int) -> Proportion:
    """The share of a grade's images that were predicted as that grade."""
    return Proportion(f"no image of grade {grade}", p.predicted == grade, p.targets == grade)


def precision_statistic(p: Predictions, grade: int) -> Proportion:
    """The share of the images predicted as a grade that are of that grade."""
    as_grade = p.predicted == grade
    return Proportion(f"no image was predicted as grade {grade}", p.targets == grade, as_grade)


def specificity_statistic(p: Predictions, grade: int) -> Proportion:
    """The share of the images of other grades that were not predicted as this one."""
    others = p.targets != grade
    return Proportion(f"all images are of grade {grade}", p.predicted != grade, others)


def f1_statistic(p: Predictions, grade: int) -> Resampled:
    """F1 of a grade."""
    absent, confusions = f"no image of grade {grade}", _confusions(p)
    return Resampled(absent, lambda weights: f1_of(confusions.weighted(weights), grade))


def class_auc_statistic(p: Predictions, grade: int) -> Auc:
    """The AUC of a grade against the rest."""
    own = p.targets == grade
    absent = f"no image of grade {grade}" if not own.any() else f"all images are of grade {grade}"
    return Auc(absent, own, ~own, p.probabilities[:, grade])


def pair_statistics(p: Predictions) -> dict[Pair, tuple[Proportion, Auc]]:
    """Accuracy and AUC of each pair's logit, on the images of its two grades."""
    pairs = class_pairs(p.num_classes)
    columns = pair_logits(p).T
    return {
        pair: _one_pair(p.targets, column, pair)
        for column, pair in zip(columns, pairs, strict=True)
    }


def condition_auc_statistic(p: Predictions, condition: str) -> Auc:
    """The AUC of the summed probability for a condition."""
    positive = p.targets >= CONDITIONS[condition]
    scores = summed_probability(p.probabilities, condition)
    return Auc(_one_sided(positive, condition), positive, ~positive, scores)


def sensitivity_and_specificity(
    p: Predictions, condition: str, threshold: float | None = None
) -> tuple[Proportion, Proportion]:
    """Sensitivity and specificity for a condition.

    `threshold` applies to the summed probability; without it the predicted grades decide.
    """
    first = CONDITIONS[condition]
    positive = p.targets >= first
    called = p.predicted >= first
    if threshold is not None:
        called = summed_probability(p.probabilities, condition) >= threshold
    absent = _one_sided(positive, condition)
    return Proportion(absent, called, positive), Proportion(absent, ~called, ~positive)


def calibration_error_statistic(targets: np.ndarray, probabilities: np.ndarray) -> Resampled:
    """The expected calibration error, 15 bins."""
    gaps = calibration_gaps(targets, probabilities)
    return Resampled("no images", lambda w: np.abs(gaps @ w).sum(axis=0) / w.sum(axis=0))


def brier_statistic(targets: np.ndarray, probabilities: np.ndarray) -> Resampled:
    """The mean Brier score."""
    scores = brier_scores(targets, probabilities)
    return Resampled("no images", lambda w: scores @ w / w.sum(axis=0))


def _absent(p: Predictions) -> str:
    counts = np.bincount(p.targets, minlength=p.num_classes)
    return f"no image of grade {', '.join(str(grade) for grade in np.flatnonzero(counts == 0))}"


def _confusions(p: Predictions) -> Confusions:
    return Confusions(p.targets, p.predicted, p.num_classes)


def _one_pair(targets: np.ndarray, logits: np.ndarray, pair: Pair) -> tuple[Proportion, Auc]:
    lower, higher = (targets == grade for grade in pair)
    missing = " and ".join(str(grade) for grade in pair if grade not in targets)
    absent = f"no image of grade {missing}"
    right = (logits > 0) == higher
    return Proportion(absent, right, lower | higher), Auc(absent, higher, lower, logits)


def _one_sided(positive: np.ndarray, condition: str) -> str:
    which = "all images are" if positive.all() else "no image is"
    return f"{which} {condition.replace('_', '-')}"
