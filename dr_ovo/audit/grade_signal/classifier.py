"""Detects grades that were filtered apart, by image statistics; the area that stops a training.

If pictures were filtered according to their true grade, a network can read the grade without seeing
disease: accuracies of 98 % come from that. A classifier that sees only statistics of the processing
(`image_statistics`) detects it: each grade against the rest, out of fold. The grade with the
largest area under the ROC curve decides, in a permutation test with shuffled grades.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

# Real sets carry some signal: proliferative eyes are darker, lasered, photographed elsewhere.
# Largest area under the ROC curve of a grade against the rest, by `benchmarks/planted_filters.py`:
#   untouched: idrid .82 to .84 (depending on the folds), idrid_small .75 to .82, retinamnist28 .84
#   (drawn sets .99: they are not judged); one grade re-encoded as JPEG: at most .88;
#   one grade filtered, each in turn, all of idrid: CLAHE, clip limit 1 or 3, 1.00; brightness or
#   contrast +-20 % at least .996, +10 % .986; sharpening .999; blur .997; halved and enlarged
#   .983; JPEG 50 or 75 1.00. On idrid_small: all at least .96 but for changes by 10 %, .86 to .997.
STOP_AUC = 0.95
SIGNIFICANT = 0.01  # p value of the permutation test up to which a signal is reported
MIN_PICTURES = 15  # of a grade, and of the rest; fewer can't distinguish .84 from .95
FOLDS = 5
RIDGE = 30.0  # penalty on standard-normal statistics; at .1 to 3 times this, areas change by <= .02
PERMUTATIONS = 200
FALSE_ALARMS = 0.05


@dataclass(frozen=True)
class GradeSignal:
    """The grade (its number) that statistics separate best, among those with enough pictures.

    `auc` is its area under the ROC curve against the rest, `recall` the share of its pictures found
    at 5 % false positives. `p` is the p value, and `chance` the 95th percentile of the largest area
    of any grade under shuffled grades. `aucs` has the areas of all grades (NaN: too few pictures),
    `scores` (N,) are the classifier's for this grade, `all_scores` (N, num_grades) those for each
    (NaN: too few pictures), out of `folds` (N,).
    """

    grade: int
    auc: float
    recall: float
    p: float
    chance: float
    aucs: np.ndarray
    scores: np.ndarray
    all_scores: np.ndarray
    folds: np.ndarray


def grade_signal(
    statistics: np.ndarray, grades: np.ndarray, groups: np.ndarray, num_grades: int, seed: int = 0
) -> GradeSignal | None:
    """How well `statistics` (N, S) predict `grades` (N,) integers; None if no grade has enough
    pictures or there are fewer groups than FOLDS.

    Pictures of one group (a patient, look-alikes), given by `groups` (N,) integers, are in one
    fold. The classifier is a ridge regression (Hoerl & Kennard 1970) on normal scores of the
    statistics: it has a closed form, so that 200 permutations take seconds.
    """
    counts = np.bincount(grades, minlength=num_grades)
    judged = np.flatnonzero((counts >= MIN_PICTURES) & (len(grades) - counts >= MIN_PICTURES))
    _, owners = np.unique(groups, return_inverse=True)
    if not len(judged) or owners.max() + 1 < FOLDS:  # a fold would be empty, or have all pictures
        return None
    rng = np.random.default_rng(seed)
    folds = (rng.permutation(owners.max() + 1) % FOLDS)[owners]
    normal = normal_scores(statistics)
    targets = (grades[:, None] == judged).astype(np.float64)  # (N, G)
    scores = out_of_fold(normal, targets, folds)
    areas = _areas(scores, targets)
    shuffled = np.concatenate(
        [targets[rng.permutation(len(grades))] for _ in range(PERMUTATIONS)], axis=1
    )
    null = _areas(out_of_fold(normal, shuffled, folds), shuffled)
    null = null.reshape(PERMUTATIONS, len(judged)).max(axis=1)
    worst = int(np.argmax(areas))
    aucs = np.full(num_grades, np.nan)
    aucs[judged] = areas
    all_scores = np.full((len(grades), num_grades), np.nan)
    all_scores[:, judged] = scores
    return GradeSignal(
        grade=int(judged[worst]),
        auc=float(areas[worst]),
        recall=recall_at_false_alarms(scores[:, worst], targets[:, worst] > 0),
        p=float((1 + (null >= areas[worst]).sum()) / (1 + PERMUTATIONS)),
        chance=float(np.quantile(null, 0.95)),
        aucs=aucs,
        scores=scores[:, worst],
        all_scores=all_scores,
        folds=folds,
    )


def not_judged(grades: np.ndarray, groups: np.ndarray, names: Sequence[str]) -> list[str]:
    """Notes on the grades (N,), called `names`, that `grade_signal` can't judge, and why."""
    note = "whether processing reveals the grade was not judged"
    owners = len(np.unique(groups))
    if owners < FOLDS:
        return [
            f"{note}: patients, groups and look-alikes leave {owners} independent groups of "
            f"pictures, and at least {FOLDS} are needed"
        ]
    counts = np.bincount(grades, minlength=len(names))
    few = [name for name, count in zip(names, counts, strict=True) if count < MIN_PICTURES]
    if not few:
        return []
    return [f"{note} for {', '.join(few)}: fewer than {MIN_PICTURES} pictures"]


def normal_scores(values: np.ndarray) -> np.ndarray:
    """(N, S) with each column's ranks mapped to standard-normal quantiles.

    Constant columns become 0.
    """
    normal = ndtri((average_ranks(values) - 0.5) / len(values))
    deviation = normal.std(axis=0)
    return np.asarray(
        (normal - normal.mean(axis=0)) / np.where(deviation > 1e-9, deviation, np.inf)
    )


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 within each column of `values`, (N,) or (N, S) without NaN; values that tie
    share the mean of their ranks. Equals `scipy.stats.rankdata(values, axis=0)`.
    """
    columns = np.atleast_2d(values.T)  # (S, N)
    order = np.argsort(columns, axis=1, kind="stable")
    ordered = np.take_along_axis(columns, order, axis=1)
    begins = np.ones(columns.shape, dtype=bool)  # a run of ties, or a value alone
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.flatnonzero(begins)
    length = np.diff(first, append=begins.size)
    shared = first % columns.shape[1] + (length + 1) / 2
    ranks = np.empty(columns.shape)
    np.put_along_axis(ranks, order, np.repeat(shared, length).reshape(ranks.shape), axis=1)
    return np.ascontiguousarray(ranks.T).reshape(values.shape)


def out_of_fold(values: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(N, T) out-of-fold predictions of `targets` (N, T) by ridge regression."""
    scores = np.zeros_like(targets)
    for fold in range(FOLDS):
        held_out = folds == fold
        if not held_out.any() or held_out.all():
            continue
        centre, level = values[~held_out].mean(axis=0), targets[~held_out].mean(axis=0)
        known = values[~held_out] - centre
        slopes = np.linalg.solve(
            known.T @ known + RIDGE * np.eye(values.shape[1]),
            known.T @ (targets[~held_out] - level),
        )
        # Without the mean of the other folds: it is lower if the held-out fold has more positives.
        scores[held_out] = (values[held_out] - centre) @ slopes
    return scores


def _areas(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(T,) areas under the ROC curves, ties counted half (Mann-Whitney)."""
    positives = targets.sum(axis=0)
    negatives = len(targets) - positives
    ranks = (average_ranks(scores) * targets).sum(axis=0)
    return np.asarray((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def recall_at_false_alarms(scores: np.ndarray, positive: np.ndarray) -> float:
    """The share of positives above the threshold that FALSE_ALARMS of the negatives exceed."""
    threshold = np.quantile(scores[~positive], 1 - FALSE_ALARMS)
    return float((scores[positive] > threshold).mean())
