"""Referable and vision-threatening disease: first grade, target rates, decision thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

TARGET_SENSITIVITY, TARGET_SPECIFICITY = 0.90, 0.95
GRADED_CLASSES = 5
ROUNDING = 1e-6  # by which a sum of probabilities may exceed 1
# Condition -> the lowest of the five ICDR grades that counts as positive.
CONDITIONS = {"referable": 2, "vision_threatening": 3}


@dataclass(frozen=True)
class OperatingPoint:
    """An image is positive where its summed probability is at least `threshold`.

    `reason` says why there is no threshold.
    """

    threshold: Annotated[float, Meta(ge=0, le=1 + ROUNDING)] | None
    reason: str | None = None


@dataclass(frozen=True)
class OperatingPoints:
    """The two operating points of a condition."""

    high_sensitivity: OperatingPoint
    high_specificity: OperatingPoint


def summed_probability(probabilities: np.ndarray, condition: str) -> np.ndarray:
    """(N,): summed probability of the grades that count as `condition`; (N, 5), not tempered."""
    return probabilities[:, CONDITIONS[condition] :].sum(axis=1)


def ungraded(classes: int) -> str:
    """Why referable and vision-threatening disease are undefined for other than 5 classes."""
    return f"defined only for the {GRADED_CLASSES} ICDR grades, not for {classes} classes"


def fit_operating_points(
    condition: str, targets: np.ndarray, probabilities: np.ndarray
) -> OperatingPoints:
    """The operating points of a condition, fitted on grades (N,) and probabilities (N, C).

    high_sensitivity is the largest threshold with a sensitivity of at least 0.90,
    high_specificity the smallest with a specificity of at least 0.95. Without positives or
    negatives, or where C is not 5, a threshold is None with the reason.
    """
    classes = probabilities.shape[1]
    if classes != GRADED_CLASSES:
        missing = OperatingPoint(None, ungraded(classes))
        return OperatingPoints(missing, missing)
    scores = summed_probability(probabilities, condition)
    positive = targets >= CONDITIONS[condition]
    name = condition.replace("_", "-")
    return OperatingPoints(
        _high_sensitivity(np.sort(scores[positive])[::-1], f"no {name} image to fit it on"),
        _high_specificity(np.sort(scores[~positive]), f"every image to fit it on is {name}"),
    )


def _high_sensitivity(positives: np.ndarray, reason: str) -> OperatingPoint:
    """`positives` are scores in descending order."""
    if not len(positives):
        return OperatingPoint(None, reason)
    reached = np.arange(1, len(positives) + 1) / len(positives) >= TARGET_SENSITIVITY
    return OperatingPoint(float(positives[reached.argmax()]))


def _high_specificity(negatives: np.ndarray, reason: str) -> OperatingPoint:
    """`negatives` are scores in ascending order; the threshold lies just above one of them."""
    if not len(negatives):
        return OperatingPoint(None, reason)
    reached = np.arange(1, len(negatives) + 1) / len(negatives) >= TARGET_SPECIFICITY
    return OperatingPoint(float(np.nextafter(negatives[reached.argmax()], np.inf)))
