"""Every model against the one that is best on val: differences, p values and plain words."""

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
from dr_ovo.statistics.weighted_statistics import Remembered, Statistic

ALPHA = 0.05
AUC_PERMUTATIONS = 1000  # five AUCs each: half as many keep 10,000 images x 7 models quick
BETTER, WORSE, NONE_SHOWN, UNKNOWN = "better", "worse", "no difference shown", "unknown"
# What is compared: its name in words, and the statistic.
COMPARED: dict[str, tuple[str, Callable[[Predictions], Statistic]]] = {
    "accuracy": ("accuracy", accuracy_statistic),
    "quadratic_kappa": ("kappa", kappa_statistic),
    "macro_auc": ("macro AUC", macro_auc_statistic),
}


def selection_share(val: Predictions) -> Predictions:
    """The images of val that may decide between models: those not left for calibration."""
    return take(val, ~val.calibration) if not val.calibration.all() else val


def by_val_kappa(models: Sequence[ModelResults]) -> list[tuple[ModelResults, float | None]]:
    """The models with their kappa on val's selection share, the best first.

    Accuracy decides between equal kappas; a kappa that is undefined (None) comes last.
    """
    scored = []
    for model in models:
        p = selection_share(model.val)
        kappa = quadratic_kappa(p.targets, p.predicted, p.num_classes)
        rank = (-math.inf if math.isnan(kappa) else kappa, accuracy(p.targets, p.predicted))
        scored.append((rank, model, None if math.isnan(kappa) else kappa))
    return [(model, kappa) for _, model, kappa in sorted(scored, key=lambda s: s[0], reverse=True)]


def compared_statistics(model: ModelResults) -> dict[str, Remembered]:
    """Each of COMPARED on test."""
    return {
        key: Remembered((held := metric(model.test)).undefined, held)
        for key, (_, metric) in COMPARED.items()
    }


def difference_statistics(
    model: Mapping[str, Statistic], reference: Mapping[str, Statistic]
) -> dict[str, Statistic]:
    """Model minus reference for each of COMPARED, of the `compared_statistics` of both."""
    return {key: Difference(model[key].undefined, model[key], reference[key]) for key in COMPARED}


def p_values(models: Sequence[ModelResults], reference: ModelResults) -> list[dict[str, float]]:
    """Of each model against the reference, for each of COMPARED; NaN where undefined."""
    asked = [(model.test, key) for model in models for key in COMPARED]

    def one(job: tuple[Predictions, str]) -> float:
        test, key = job
        if key == "accuracy":
            return accuracy_p_value(test, reference.test)
        times = AUC_PERMUTATIONS if key == "macro_auc" else RESAMPLES
        return permutation_test(COMPARED[key][1], test, reference.test, times)

    found = np.reshape(in_threads(one, asked), (-1, len(COMPARED)))
    return [dict(zip(COMPARED, map(float, row), strict=True)) for row in found]


def judged(
    differences: Sequence[dict[str, Any]], p: Sequence[dict[str, float]]
) -> list[dict[str, dict[str, Any]]]:
    """Each difference (with its interval) with `p`, `p_corrected` and `verdict`.

    Holm's correction is over all of them together: the chance that any of the words better and
    worse is wrong is 5 % at most.
    """
    corrected = iter(holm([row[key] for row in p for key in row]))
    return [
        {key: with_verdict(held, row[key], next(corrected)) for key, held in differing.items()}
        for differing, row in zip(differences, p, strict=True)
    ]


def with_verdict(held: dict[str, Any], p: float, corrected: float) -> dict[str, Any]:
    """A difference with its p values (None where undefined) and what follows in a word."""
    if held["value"] is None or math.isnan(corrected):
        return {**held, "p": None, "p_corrected": None, "verdict": UNKNOWN}
    verdict = NONE_SHOWN
    if corrected < ALPHA:
        verdict = BETTER if held["value"] > 0 else WORSE
    return {**held, "p": p, "p_corrected": corrected, "verdict": verdict}


def overall_verdict(differing: dict[str, dict[str, Any]]) -> str:
    """One word for a model: better or worse where nothing speaks against it, else `mixed`."""
    words = {held["verdict"] for held in differing.values()}
    if {BETTER, WORSE} <= words:
        return "mixed"
    return next((word for word in (BETTER, WORSE, NONE_SHOWN) if word in words), UNKNOWN)


def in_words(name: str, reference: str, differing: dict[str, dict[str, Any]]) -> str:
    """A sentence such as `resnet50: worse than coatnet in accuracy and kappa; ...`."""
    parts = []
    for verdict in (BETTER, WORSE, NONE_SHOWN, UNKNOWN):
        names = [COMPARED[key][0] for key, held in differing.items() if held["verdict"] == verdict]
        if names:
            than = f" than {reference}" if verdict in (BETTER, WORSE) else ""
            parts.append(f"{verdict}{than} in {listed(names)}")
    return f"{name}: {'; '.join(parts)}."


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence: `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
