"""A grader that sees image statistics alone: fitted on train, kept in config.json, tried on test.

What it scores on test says how far a model can come on this set without seeing any lesion.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from dr_ovo.audit.grade_signal.classifier import RIDGE
from dr_ovo.errors import UserError

KNOTS = 33  # quantiles of train that stand for the distribution of a statistic
SCHEMA = 1
MIN_PROBABILITY = 1e-3  # a linear score may be negative


@dataclass(frozen=True)
class StatisticsModel:
    """A ridge regression of C grades on S statistics, which quantiles of train make normal.

    `classes` (C,) name the grades in the order of the columns; `names` (S,); `knots` (KNOTS, S)
    rising quantiles; `centre` and `scale` (S,) of the normal scores; `slopes` (S, C); `levels`
    (C,) the prevalence of the grades in train.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    knots: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    slopes: np.ndarray
    levels: np.ndarray

    def probabilities(self, statistics: np.ndarray) -> np.ndarray:
        """(N, C) shares of the grades, from `statistics` (N, S) in the order of `names`."""
        normal = (_normal_scores(statistics, self.knots) - self.centre) * self.scale
        scores = np.clip(normal @ self.slopes + self.levels, MIN_PROBABILITY, None)
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    def to_dict(self) -> dict[str, Any]:
        """The model as config.json holds it: arrays as base64 of little-endian float32."""
        arrays = {name: _encoded(getattr(self, name)) for name in ARRAYS}
        names = {"classes": list(self.classes), "names": " ".join(self.names)}
        return {"schema": SCHEMA, **names, **arrays}


ARRAYS = ("knots", "centre", "scale", "slopes", "levels")


def fit_statistics_model(
    names: Sequence[str],
    statistics: np.ndarray,
    grades: np.ndarray,
    counts: Mapping[str, int],
) -> StatisticsModel | None:
    """The model of train's `statistics` (N, S) and `grades` (N,); None where a grade is missing.

    `grades` number the keys of `counts`, which has the pictures per grade in all of train. The
    statistics may be of a sample with other shares: each picture has the weight that restores them.
    """
    drawn = np.bincount(grades, minlength=len(counts))
    if not drawn.all():
        return None
    weights = (np.array(list(counts.values())) / drawn)[grades]
    weights /= weights.mean()
    knots = np.quantile(statistics, (np.arange(KNOTS) + 0.5) / KNOTS, axis=0).astype(np.float32)
    normal = _normal_scores(statistics, knots)
    centre = np.average(normal, axis=0, weights=weights)
    spread = np.sqrt(np.average((normal - centre) ** 2, axis=0, weights=weights))
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    known = (normal - centre) * scale
    targets = np.eye(len(counts))[grades]
    levels = np.average(targets, axis=0, weights=weights)
    weighted = known * weights[:, None]
    slopes = np.linalg.solve(
        weighted.T @ known + RIDGE * np.eye(known.shape[1]), weighted.T @ (targets - levels)
    )
    return StatisticsModel(tuple(counts), tuple(names), knots, centre, scale, slopes, levels)


def read_statistics_model(stored: Mapping[str, Any]) -> StatisticsModel:
    """The model from `to_dict`. Raises UserError for anything else."""
    try:
        if stored["schema"] != SCHEMA:
            raise ValueError(f"its schema is {stored['schema']}")
        names = tuple(str(stored["names"]).split())
        grades = tuple(str(name) for name in stored["classes"])
        shapes = {
            "knots": (KNOTS, len(names)),
            "centre": (len(names),),
            "scale": (len(names),),
            "slopes": (len(names), len(grades)),
            "levels": (len(grades),),
        }
        arrays = {name: _decoded(stored[name]).reshape(shapes[name]) for name in ARRAYS}
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("a number is not finite")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"the statistics model in config.json is damaged ({error})") from None
    return StatisticsModel(grades, names, **arrays)


def _normal_scores(statistics: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """(N, S) quantiles of the normal distribution at the statistics' ranks among the knots.

    A value that several knots have, as where most pictures have one file size, gets their middle.
    """
    ranks = np.empty(statistics.shape)
    values = statistics.astype(np.float32)  # as the knots are: equal stays equal
    for column in range(statistics.shape[1]):
        own, points = values[:, column], knots[:, column]
        first, after = np.searchsorted(points, own, "left"), np.searchsorted(points, own, "right")
        low, high = np.clip(first - 1, 0, KNOTS - 1), np.clip(first, 0, KNOTS - 1)
        width = points[high] - points[low]
        part = np.where(width > 0, (own - points[low]) / np.where(width > 0, width, 1), 0.0)
        ranks[:, column] = np.where(after > first, (first + after - 1) / 2, low + part)
    return np.asarray(ndtri((np.clip(ranks, 0, KNOTS - 1) + 0.5) / KNOTS))


def _encoded(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def _decoded(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float64)
