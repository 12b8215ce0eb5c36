"""Recall, precision, specificity, F1 and AUC of one model on every grade and every pair."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from dr_ovo.pairs import Pair, class_pairs
from dr_ovo.predictions.metrics import group_sums
from dr_ovo.predictions.predictions_file import Predictions, pair_logits
from dr_ovo.statistics.model_statistics import (
    class_auc_statistic,
    pair_statistics,
    precision_statistic,
    recall_statistic,
    specificity_statistic,
)
from dr_ovo.statistics.weighted_statistics import Proportion, Resampled, Statistic

FIGURES = ("recall", "precision", "specificity", "f1", "auc")


@dataclass(frozen=True, eq=False)
class _F1:
    """F1 of the images `called` (N,) bool against those that are `positive` (N,) bool."""

    positive: np.ndarray
    called: np.ndarray

    @cached_property
    def _sums(self) -> csr_array:
        return group_sums(2 * self.positive.astype(np.int64) + self.called - 1, 3)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        only_called, only_positive, both = (self._sums @ weights).astype(np.float64)
        positive, called = both + only_positive, both + only_called
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(positive > 0, 2 * both / (positive + called), np.nan)


def f1_of_class(p: Predictions, grade: int) -> Resampled:
    """F1 of a grade; undefined where it has no image."""
    return Resampled(f"no image of grade {grade}", _F1(p.targets == grade, p.predicted == grade))


def class_strengths(p: Predictions) -> list[dict[str, Any]]:
    """For each grade its FIGURES as statistics."""
    return [
        {
            "recall": recall_statistic(p, grade),
            "precision": precision_statistic(p, grade),
            "specificity": specificity_statistic(p, grade),
            "f1": f1_of_class(p, grade),
            "auc": class_auc_statistic(p, grade),
        }
        for grade in range(p.num_classes)
    ]


def pair_strengths(p: Predictions) -> list[dict[str, Statistic]]:
    """For each pair its FIGURES and `accuracy`: how its logit separates its two grades.

    Only images of the two grades count; the higher grade is positive.
    """
    found = pair_statistics(p)
    columns = zip(class_pairs(p.num_classes), pair_logits(p).T, strict=True)
    return [
        _pair(p.targets, logits, pair, found[pair][0], found[pair][1]) for pair, logits in columns
    ]


def _pair(
    targets: np.ndarray, logits: np.ndarray, pair: Pair, accuracy: Statistic, auc: Statistic
) -> dict[str, Statistic]:
    lower, higher = (targets == grade for grade in pair)
    called = (logits > 0) & (lower | higher)
    without_higher, without_lower = (f"no image of grade {grade}" for grade in pair[::-1])
    never = f"none of their images was predicted as grade {pair[1]}"
    return {
        "accuracy": accuracy,
        "recall": Proportion(without_higher, called, higher),
        "precision": Proportion(never, higher, called),
        "specificity": Proportion(without_lower, ~called, lower),
        "f1": Resampled(without_higher, _F1(higher, called)),
        "auc": auc,
    }
