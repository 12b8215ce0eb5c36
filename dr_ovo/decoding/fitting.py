"""What is fitted for decoding, and its form in checkpoints, calibrations and manifests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.expected_grade import fit_thresholds
from dr_ovo.decoding.grade_scale import GradeScale, fit_scale


def fit_number(logits: np.ndarray, targets: np.ndarray, num_classes: int) -> Fitted:
    """What decodes a head that answers with a number, from logits (N, 1) and grades (N,): its
    scale, and its thresholds (None on fewer than 200 images)."""
    numbers = np.asarray(logits, dtype=np.float64)[:, 0]
    return Fitted(
        fit_scale(numbers, targets, num_classes), fit_thresholds(numbers, targets, num_classes)
    )


def fitted_json(fitted: Fitted) -> dict[str, Any]:
    """Plain values of scale and thresholds, null where there are none."""
    scale = fitted.scale
    return {
        "cutpoints": list(scale.cutpoints) if scale else None,
        "sigma": scale.sigma if scale else None,
        "thresholds": None if fitted.thresholds is None else list(fitted.thresholds),
    }


def fitted_from_json(data: Mapping[str, Any] | None) -> Fitted:
    """From what `fitted_json` returned; nothing is fitted in None. Raises KeyError, TypeError or
    ValueError where it is damaged."""
    if data is None:
        return Fitted()
    thresholds, cutpoints = data["thresholds"], data["cutpoints"]
    for numbers in (thresholds, cutpoints):
        if numbers is not None and not _is_increasing(numbers):
            raise ValueError(f"{numbers} are not increasing numbers")
    scale = None
    if cutpoints is not None:
        sigma = data["sigma"]
        if type(sigma) not in (int, float) or not 0 < sigma < np.inf:
            raise ValueError(f"sigma {sigma} is not a number above 0")
        scale = GradeScale(tuple(map(float, cutpoints)), float(sigma))
    return Fitted(scale, None if thresholds is None else tuple(map(float, thresholds)))


def _is_increasing(numbers: Any) -> bool:
    if not all(type(number) in (int, float) for number in numbers):  # also not true or false
        return False
    values = np.array(numbers, dtype=np.float64)
    return values.ndim == 1 and bool(np.isfinite(values).all() and (np.diff(values) >= 0).all())
