"""How figures go with the photographs' quality, and how many photographs can't be graded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dr_ovo.photographs.gradability import MIN_GRADABLE, ungradable
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.model_statistics import kappa_statistic
from dr_ovo.statistics.weighted_statistics import Proportion, Resampled

THIRDS = ("lowest", "middle", "highest")
UNKNOWN = "the quality of no photograph is known (too few pixels, or evaluated without it)"


def by_quality(p: Predictions) -> dict[str, Any]:
    """The `by_quality` block of evaluation.json, with statistics in the metrics' places.

    Accuracy and quadratic weighted kappa of each third of the known qualities, and the share that
    is ungradable among them. Equal qualities stay in one third. {"value": None, "reason"} where no
    quality is known.
    """
    known = ~np.isnan(p.quality)
    if not known.any():
        return {"value": None, "reason": UNKNOWN}
    spoilt = ungradable(p.quality)
    return {
        "n_known": int(known.sum()),
        "n_unknown": int((~known).sum()),
        "least_gradable": MIN_GRADABLE,
        "n_ungradable": int(spoilt.sum()),
        "ungradable": Proportion("no photograph of known quality", spoilt, known),
        "thirds": [
            _third(p, name, among)
            for name, among in zip(THIRDS, _thirds(p.quality, known), strict=True)
        ],
    }


def _thirds(quality: np.ndarray, known: np.ndarray) -> list[np.ndarray]:
    """(N,) bool of each third, the lowest first."""
    first, second = np.quantile(quality[known], [1 / 3, 2 / 3])
    low, high = quality <= first, quality > second  # False for NaN
    return [low, known & ~low & ~high, high]


def _third(p: Predictions, name: str, among: np.ndarray) -> dict[str, Any]:
    values = p.quality[among]
    empty = "no photograph in this third of quality"
    whole = kappa_statistic(p)
    return {
        "third": name,
        "n": int(among.sum()),
        "low": float(values.min()) if len(values) else None,
        "high": float(values.max()) if len(values) else None,
        "accuracy": Proportion(empty, p.predicted == p.targets, among),
        "quadratic_kappa": replace(
            whole,
            undefined=whole.undefined if len(values) else empty,
            function=_within(whole, among),
        ),
    }


def _within(statistic: Resampled, among: np.ndarray) -> Any:
    return lambda weights: statistic.compute(weights * among[:, None].astype(weights.dtype))
