"""The eight headline metrics of models and ensembles, their means and their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dr_ovo.decoding.tempering import temper
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.predictions.operating_points import GRADED_CLASSES, ungraded
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.differences import Difference
from dr_ovo.statistics.model_statistics import (
    accuracy_statistic,
    balanced_accuracy_statistic,
    calibration_error_statistic,
    kappa_statistic,
    macro_auc_statistic,
    recall_statistic,
    sensitivity_and_specificity,
)
from dr_ovo.statistics.weighted_statistics import CachedStatistic, Resampled, Statistic

HEADLINE = (
    "accuracy",
    "balanced_accuracy",
    "quadratic_kappa",
    "macro_auc",
    "class_1_recall",
    "referable_sensitivity",
    "referable_specificity",
    "calibration_error",
)
Figures = dict[str, Any]  # metric -> a statistic, or {"value": None, "reason"}


def headline(p: Predictions, calibration: Calibration) -> Figures:
    """The metrics of `HEADLINE` for one model, as statistics.

    Sensitivity and specificity for referable disease are taken at the high-sensitivity operating
    point frozen on val; the calibration error is that of the tempered probabilities.
    """
    tempered = temper(p.probabilities, calibration.temperature)
    statistics: Figures = {
        "accuracy": accuracy_statistic(p),
        "balanced_accuracy": balanced_accuracy_statistic(p),
        "quadratic_kappa": kappa_statistic(p),
        "macro_auc": macro_auc_statistic(p),
        "class_1_recall": recall_statistic(p, 1),
        **_referable(p, calibration),
        "calibration_error": calibration_error_statistic(p.targets, tempered),
    }
    return {
        name: CachedStatistic(one.undefined, one) if isinstance(one, Statistic) else one
        for name, one in statistics.items()
    }


def _referable(p: Predictions, calibration: Calibration) -> Figures:
    point = calibration.referable.high_sensitivity
    names = "referable_sensitivity", "referable_specificity"
    if p.num_classes == GRADED_CLASSES and point.threshold is not None:
        found = sensitivity_and_specificity(p, "referable", point.threshold)
        return dict(zip(names, found, strict=True))
    reason = f"no threshold from val: {point.reason}"
    if p.num_classes != GRADED_CLASSES:
        reason = ungraded(p.num_classes)
    return {name: {"value": None, "reason": reason} for name in names}


def mean_of_figures(several: Sequence[Figures]) -> Figures:
    """The plain mean of the models' metrics: no actual model or ensemble has these values."""
    return {name: _mean([figures[name] for figures in several]) for name in HEADLINE}


def _mean(parts: Sequence[Any]) -> Any:
    undefined = [part for part in parts if not isinstance(part, Statistic)]
    if undefined:
        return undefined[0]
    return Resampled(
        parts[0].undefined, lambda weights: np.mean([one.compute(weights) for one in parts], axis=0)
    )


def minus(first: Figures, second: Figures, names: Sequence[str]) -> Figures:
    """The differences, first minus second, of the metrics with these names."""
    differences: Figures = {}
    for name in names:
        a, b = first[name], second[name]
        known = isinstance(a, Statistic) and isinstance(b, Statistic)
        missing: Mapping[str, Any] = b if isinstance(a, Statistic) else a
        differences[name] = Difference(a.undefined, a, b) if known else missing
    return differences
