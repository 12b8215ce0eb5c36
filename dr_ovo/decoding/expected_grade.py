"""Decoder `expected`: the grade from the expected one, by rounding or by fitted thresholds."""

from __future__ import annotations

import numpy as np

from dr_ovo.errors import UserError

MIN_IMAGES = 200  # on fewer, fitted thresholds are worse than rounding


def expected_grade(probabilities: np.ndarray) -> np.ndarray:
    """(N,): the mean grade by probabilities (N, C)."""
    return probabilities @ np.arange(probabilities.shape[1])


def grade_of(
    values: np.ndarray, num_classes: int, thresholds: tuple[float, ...] | None
) -> np.ndarray:
    """The grades (N,), int64, of numbers (N,): how many of the thresholds (C-1,) each reaches;
    without thresholds the nearest grade, of two the higher. Raises UserError for another number of
    thresholds."""
    if thresholds is None:
        return np.floor(values + 0.5).clip(0, num_classes - 1).astype(np.int64)
    if len(thresholds) != num_classes - 1:
        raise UserError(
            f"There are {len(thresholds)} thresholds of the grade, and {num_classes} classes need "
            f"{num_classes - 1}: they are of another model, or damaged. Evaluate the model again, "
            "or export the ensemble again."
        )
    return np.searchsorted(np.array(thresholds), values, side="right").astype(np.int64)


def fit_thresholds(
    values: np.ndarray, targets: np.ndarray, num_classes: int
) -> tuple[float, ...] | None:
    """The thresholds (C-1,) between numbers (N,) that give the largest quadratic weighted kappa
    with grades (N,); None on fewer than 200 images, or where all have one grade.

    Kappa is 1 - D / E, where both disagreements, found and expected by chance, are sums over the
    segments between thresholds. The smallest D / E is found exactly: by Dinkelbach's method
    (Management Science 13 (1967) 492-498), which minimises D - ratio x E, here by dynamic
    programming over the thresholds.
    """
    if len(values) < MIN_IMAGES or len(np.unique(targets)) < 2:
        return None
    order = np.argsort(values, kind="stable")
    ordered, grades = values[order], targets[order].astype(np.float64)
    # A cut at `i` has `i` numbers below it; equal numbers are not cut apart.
    cuts = np.flatnonzero(np.diff(ordered, prepend=-np.inf, append=np.inf) > 0)
    sums = [np.concatenate([[0.0], np.cumsum(grades**power)])[cuts] for power in (1, 2)]
    classes = np.arange(num_classes)[:, None]
    counts = np.bincount(targets, minlength=num_classes)
    found = classes**2 * cuts - 2 * classes * sums[0] + sums[1]  # (C, cuts): D up to each cut
    apart = ((classes - classes.T) ** 2 * counts).sum(axis=1, keepdims=True) / len(values)
    chance = apart * cuts  # E up to each cut
    ratio = 1.0
    while True:
        chosen = _best_cuts(found - ratio * chance)
        edges = np.concatenate([[0], chosen, [len(cuts) - 1]])
        disagreement, expected = (
            float(sum(row[edges[k + 1]] - row[edges[k]] for k, row in enumerate(table)))
            for table in (found, chance)
        )
        if disagreement / expected >= ratio - 1e-12:
            return tuple(_between(ordered, int(cut)) for cut in cuts[chosen])
        ratio = disagreement / expected


def _best_cuts(costs: np.ndarray) -> np.ndarray:
    """(C-1,) positions among the cuts, not decreasing, of the smallest sum of costs, of which
    (C, cuts) are the sums of each grade up to each cut."""
    best, came_from = costs[0].copy(), []
    for row in costs[1:]:
        gain = best - row
        smallest = np.minimum.accumulate(gain)
        is_new = np.concatenate([[True], gain[1:] < smallest[:-1]])
        came_from.append(np.maximum.accumulate(np.where(is_new, np.arange(len(row)), 0)))
        best = row + smallest
    position, chosen = costs.shape[1] - 1, []
    for origins in reversed(came_from):
        position = int(origins[position])
        chosen.append(position)
    return np.array(chosen[::-1])


def _between(ordered: np.ndarray, cut: int) -> float:
    """A threshold between the numbers before and from `cut` on; beyond all of them at the ends."""
    if cut == 0:
        return float(ordered[0]) - 1
    if cut == len(ordered):
        return float(ordered[-1]) + 1
    return float(ordered[cut - 1] + ordered[cut]) / 2
