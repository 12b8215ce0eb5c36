"""Accuracy and kappa in a part of the photographs: a third of quality, left or right eyes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.model_statistics import kappa_statistic
from dr_ovo.statistics.weighted_statistics import Proportion, Resampled

EYES = ("left", "right")
NO_EYE = "no photograph has a known eye"


def subgroup(p: Predictions, selected: np.ndarray, empty: str) -> dict[str, Any]:
    """`n`, `accuracy` and `quadratic_kappa` of the `selected` (N,) bool of N photographs, with
    statistics in place of metrics. `empty`: the reason where there are none."""
    kappa = kappa_statistic(p)
    return {
        "n": int(selected.sum()),
        "accuracy": Proportion(empty, p.predicted == p.targets, selected),
        "quadratic_kappa": replace(
            kappa,
            undefined=kappa.undefined if selected.any() else empty,
            function=_restricted(kappa, selected),
        ),
    }


def by_eye(p: Predictions) -> dict[str, Any]:
    """Accuracy and kappa of left and of right eyes, with statistics in place of metrics;
    {"value": None, "reason"} where no eye is known."""
    known = np.isin(p.eyes, EYES)
    if not known.any():
        return {"value": None, "reason": NO_EYE}
    return {
        "n_known": int(known.sum()),
        "n_unknown": int((~known).sum()),
        "eyes": [
            {"eye": eye, **subgroup(p, p.eyes == eye, f"no photograph of a {eye} eye")}
            for eye in EYES
        ],
    }


def _restricted(statistic: Resampled, selected: np.ndarray) -> Any:
    return lambda weights: statistic.compute(weights * selected[:, None].astype(weights.dtype))
