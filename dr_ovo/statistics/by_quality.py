"""Metrics by third of image quality, and the share of ungradable photographs."""

from __future__ import annotations

from typing import Any

import numpy as np

from dr_ovo.photographs.gradability import MIN_GRADABLE, ungradable
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.subgroups import subgroup
from dr_ovo.statistics.weighted_statistics import Proportion

THIRDS = ("lowest", "middle", "highest")
UNKNOWN = "no photograph has a known quality (too few pixels, or evaluated without it)"


def by_quality(p: Predictions) -> dict[str, Any]:
    """The `by_quality` block of evaluation.json, with statistics in place of metrics.

    Accuracy and quadratic weighted kappa in each third of the known qualities, and the share of
    ungradable photographs among them. Equal qualities stay in one third. {"value": None,
    "reason"} where no quality is known.
    """
    known = ~np.isnan(p.quality)
    if not known.any():
        return {"value": None, "reason": UNKNOWN}
    is_ungradable = ungradable(p.quality)
    return {
        "n_known": int(known.sum()),
        "n_unknown": int((~known).sum()),
        "least_gradable": MIN_GRADABLE,
        "n_ungradable": int(is_ungradable.sum()),
        "ungradable": Proportion("no photograph of known quality", is_ungradable, known),
        "thirds": [
            _third(p, name, in_third)
            for name, in_third in zip(THIRDS, _thirds(p.quality, known), strict=True)
        ],
    }


def _thirds(quality: np.ndarray, known: np.ndarray) -> list[np.ndarray]:
    """(N,) bool for each third, the lowest first."""
    first, second = np.quantile(quality[known], [1 / 3, 2 / 3])
    low, high = quality <= first, quality > second  # NaN compares as False
    return [low, known & ~low & ~high, high]


def _third(p: Predictions, name: str, in_third: np.ndarray) -> dict[str, Any]:
    values = p.quality[in_third]
    measured = subgroup(p, in_third, "no photograph in this third of quality")
    return {
        "third": name,
        "n": measured.pop("n"),
        "low": float(values.min()) if len(values) else None,
        "high": float(values.max()) if len(values) else None,
        **measured,
    }
