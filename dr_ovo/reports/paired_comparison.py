"""Verdicts better and worse: models against the best on val, p values, significance level."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dr_ovo.parallel import in_threads
from dr_ovo.predictions.metrics import accuracy, quadratic_kappa
from dr_ovo.predictions.predictions_file import Predictions, take
from dr_ovo.results.model_results import ModelResults
from dr_ovo.statistics.differences import Difference, accuracy_p_value, holm, permutation_test
from dr_ovo.statistics.intervals import RESAMPLES
from dr_ovo.statistics.model_statistics import (
    accuracy_statistic,
    kappa_statistic,
    macro_auc_statistic,
)
from dr_ovo.statistics.weighted_statistics import CachedStatistic, Statistic

ALPHA = 0.05
AUC_PERMUTATIONS = 1000  # five AUCs each: half as many keep 10,000 images x 7 models fast
BETTER, WORSE, NONE_SHOWN, UNKNOWN = "better", "worse", "no difference shown", "unknown"
# Metric compared -> its name in sentences, and its statistic.
COMPARED: dict[str, tuple[str, Callable[[Predictions], Statistic]]] = {
    "accuracy": ("accuracy", accuracy_statistic),
    "quadratic_kappa": ("kappa", kappa_statistic),
    "macro_auc": ("macro AUC", macro_auc_statistic),
}


def selection_share(val: Predictions) -> Predictions:
    """The images of val that models may be chosen on: those not reserved for calibration."""
    return take(val, ~val.calibration) if not val.calibration.all() else val


def by_val_kappa(models: Sequence[ModelResults]) -> list[tuple[ModelResults, float | None]]:
    """The models with their kappa on val's selection share, the best first.

    Ties are broken by accuracy; an undefined kappa (None) comes last.
    """
    scored = []
    for model in models:
        p = selection_share(model.val)
        kappa = quadratic_kappa(p.targets, p.predicted, p.num_classes)
        rank = (-math.inf if math.isnan(kappa) else kappa, accuracy(p.targets, p.predicted))
        scored.append((rank, model, None if math.isnan(kappa) else kappa))
    return [(model, kappa) for _, model, kappa in sorted(scored, key=lambda s: s[0], reverse=True)]


def compared_statistics(model: ModelResults) -> dict[str, CachedStatistic]:
    """Each metric of COMPARED on test."""
    return {
        key: CachedStatistic((statistic := metric(model.test)).undefined, statistic)
        for key, (_, metric) in COMPARED.items()
    }


def difference_statistics(
    model: Mapping[str, Statistic], reference: Mapping[str, Statistic]
) -> dict[str, Statistic]:
    """Model minus reference for each of COMPARED, from the `compared_statistics` of both."""
    return {key: Difference(model[key].undefined, model[key], reference[key]) for key in COMPARED}


def p_values(models: Sequence[ModelResults], reference: ModelResults) -> list[dict[str, float]]:
    """p values of each model against the reference for each of COMPARED; NaN where undefined."""
    jobs = [(model.test, key) for model in models for key in COMPARED]

    def p_value(job: tuple[Predictions, str]) -> float:
        test, key = job
        if key == "accuracy":
            return accuracy_p_value(test, reference.test)
        permutations = AUC_PERMUTATIONS if key == "macro_auc" else RESAMPLES
        return permutation_test(COMPARED[key][1], test, reference.test, permutations)

    values = np.reshape(in_threads(p_value, jobs), (-1, len(COMPARED)))
    return [dict(zip(COMPARED, map(float, row), strict=True)) for row in values]


def judged(
    differences: Sequence[dict[str, Any]], p: Sequence[dict[str, float]]
) -> list[dict[str, dict[str, Any]]]:
    """The differences with `p`, `p_corrected` and `verdict` added.

    Holm's correction covers all of them together: the probability that any verdict better or
    worse is wrong is at most 5 %.
    """
    corrected = iter(holm([row[key] for row in p for key in row]))
    return [
        {key: with_verdict(metric, row[key], next(corrected)) for key, metric in by_metric.items()}
        for by_metric, row in zip(differences, p, strict=True)
    ]


def with_verdict(difference: dict[str, Any], p: float, corrected: float) -> dict[str, Any]:
    """A difference with its p values (None where undefined) and its verdict."""
    if difference["value"] is None or math.isnan(corrected):
        return {**difference, "p": None, "p_corrected": None, "verdict": UNKNOWN}
    verdict = NONE_SHOWN
    if corrected < ALPHA:
        verdict = BETTER if difference["value"] > 0 else WORSE
    return {**difference, "p": p, "p_corrected": corrected, "verdict": verdict}


def overall_verdict(differences: dict[str, dict[str, Any]]) -> str:
    """One verdict for a model: better or worse unless metrics contradict each other (`mixed`)."""
    verdicts = {difference["verdict"] for difference in differences.values()}
    if {BETTER, WORSE} <= verdicts:
        return "mixed"
    return next((one for one in (BETTER, WORSE, NONE_SHOWN) if one in verdicts), UNKNOWN)


def in_words(name: str, reference: str, differences: dict[str, dict[str, Any]]) -> str:
    """A sentence such as `resnet50: worse than coatnet in accuracy and kappa; ...`."""
    parts = []
    for verdict in (BETTER, WORSE, NONE_SHOWN, UNKNOWN):
        names = [COMPARED[key][0] for key, d in differences.items() if d["verdict"] == verdict]
        if names:
            than = f" than {reference}" if verdict in (BETTER, WORSE) else ""
            parts.append(f"{verdict}{than} in {listed(names)}")
    return f"{name}: {'; '.join(parts)}."


def listed(names: Sequence[str]) -> str:
    """Names joined for a sentence: `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
