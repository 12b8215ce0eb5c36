"""Referable and vision-threatening disease: first grade, target rates, decision thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from scipy.special import bdtr

TARGET_SENSITIVITY, TARGET_SPECIFICITY = 0.90, 0.95
GRADED_CLASSES = 5
LEVEL = 0.95  # of the intervals of thresholds
ROUNDING = 1e-6  # by which a sum of probabilities may exceed 1
Threshold = Annotated[float, Meta(ge=0, le=1 + ROUNDING)]
# Condition -> the lowest of the five ICDR grades that counts as positive.
CONDITIONS = {"referable": 2, "vision_threatening": 3}


@dataclass(frozen=True)
class OperatingPoint:
    """An image is positive where its summed probability is at least `threshold`.

    `reason` says why there is no threshold. `n`: the images that fixed it, with the condition for
    high_sensitivity, without it for high_specificity. `low`, `high`: its 95 % interval, by the
    ranks of their scores, which takes images for independent; 0 or 1 where there are too few. All
    three are None in files of earlier versions.
    """

    threshold: Threshold | None
    reason: str | None = None
    n: Annotated[int, Meta(ge=0)] | None = None
    low: Threshold | None = None
    high: Threshold | None = None


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
    count = len(positives)
    if not count:
        return OperatingPoint(None, reason, n=0)
    reached = np.arange(1, count + 1) / count >= TARGET_SENSITIVITY
    before, after = _ranks(count, TARGET_SENSITIVITY)
    return OperatingPoint(
        float(positives[reached.argmax()]),
        n=count,
        low=float(positives[after - 1]) if after <= count else 0.0,
        high=float(positives[before - 1]) if before else 1.0,
    )


def _high_specificity(negatives: np.ndarray, reason: str) -> OperatingPoint:
    """`negatives` are scores in ascending order; the threshold lies just above one of them."""
    count = len(negatives)
    if not count:
        return OperatingPoint(None, reason, n=0)
    reached = np.arange(1, count + 1) / count >= TARGET_SPECIFICITY
    above = np.nextafter(negatives, np.inf)
    before, after = _ranks(count, TARGET_SPECIFICITY)
    return OperatingPoint(
        float(above[reached.argmax()]),
        n=count,
        low=float(above[before - 1]) if before else 0.0,
        high=float(above[after - 1]) if after <= count else 1.0,
    )


def _ranks(count: int, share: float) -> tuple[int, int]:
    """The ranks, from 1, between whose scores the quantile `share` of the population lies with a
    probability of at least 0.95; 0 or `count` + 1 where a side has no bound.

    David & Nagaraja, Order Statistics (2003), 7.1.
    """
    below, above = np.searchsorted(
        bdtr(np.arange(count + 1), count, share), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    )
    return int(below), int(above) + 1
