"""Split conformal sets of grades: how unsure a prediction is, with a coverage that can be checked.

The score of a photograph is 1 minus the probability of its own grade, not tempered (Sadinle, Lei &
Wasserman, JASA 114 (2019) 223). A set holds the grades whose score would be no larger than that of
most photographs of a calibration share; then gaps are filled, so that it is a run of grades, which
can only raise its coverage. Where the two groups are large enough, thresholds are those of each
group of true grades (Vovk 2012): the coverage then holds in referable disease and outside it, not
only for all eyes together.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from scipy.special import betaincinv

from dr_ovo.predictions.operating_points import CONDITIONS, GRADED_CLASSES
from dr_ovo.predictions.predictions_file import Predictions

COVERAGE = 0.9
SMALLEST_GROUP = 19  # photographs; with fewer in either group, all photographs have one threshold
ALL, REFERABLE, OTHER = "calibration", "referable", "other"  # groups of photographs
SPREAD = (0.05, 0.95)  # quantiles of the coverage, over draws of the calibration share
OUT_OF_FOLD = "each was graded by one member, and the sets are those of their mean"
SCALE_FITTED = "the scale of its grades was fitted on them"
LARGEST = 1_000_000  # photographs
ROUNDING = 1e-12  # of sums of probabilities
FIFTHS = 5


@dataclass(frozen=True)
class Conformal:
    """The `scores` (n,) and `grades` (n,) of a calibration share of one photograph a patient.

    `chosen`: what these photographs have chosen that their scores depend on, or why they are not
    drawn like new ones, in words; empty where the coverage is guaranteed for patients like them.
    """

    scores: Annotated[tuple[Annotated[float, Meta(ge=0, le=1)], ...], Meta(max_length=LARGEST)]
    grades: Annotated[tuple[Annotated[int, Meta(ge=0, le=99)], ...], Meta(max_length=LARGEST)]
    classes: Annotated[int, Meta(ge=2, le=100)]
    chosen: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether there is a grade for each score, and no other than these classes have."""
        return len(self.scores) == len(self.grades) and max(self.grades, default=0) < self.classes

    @property
    def groups(self) -> dict[str, np.ndarray]:
        """The scores of each group that has a threshold of its own, in ascending order."""
        scores, grades = np.array(self.scores), np.array(self.grades)
        referable = grades >= CONDITIONS["referable"]
        sizes = int(referable.sum()), int((~referable).sum())
        if self.classes != GRADED_CLASSES or min(sizes) < SMALLEST_GROUP:
            return {ALL: np.sort(scores)}
        return {REFERABLE: np.sort(scores[referable]), OTHER: np.sort(scores[~referable])}

    def thresholds(self, coverage: float) -> np.ndarray:
        """(C,) the largest score with which each grade is in a set; 1 where the share is too small
        for that coverage, so that every grade is."""
        groups = {name: _quantile(scores, coverage) for name, scores in self.groups.items()}
        if ALL in groups:
            return np.full(self.classes, groups[ALL])
        grades = np.arange(self.classes)
        return np.where(grades >= CONDITIONS["referable"], groups[REFERABLE], groups[OTHER])

    def spread(self, coverage: float) -> dict[str, tuple[int, float, float]]:
        """For each group its number of photographs, and between what the true coverage lies in 9 of
        10 draws of such a share, where scores have no ties: a beta distribution (Vovk 2012)."""
        found = {}
        for name, scores in self.groups.items():
            count = len(scores)
            outside = math.floor((count + 1) * (1 - coverage) + ROUNDING)
            low, high = (1.0, 1.0)
            if outside:
                low, high = betaincinv(count + 1 - outside, outside, SPREAD)
            found[name] = (count, float(low), float(high))
        return found

    def sets(self, probabilities: np.ndarray, coverage: float) -> np.ndarray:
        """(N, 2) the lowest and the highest grade of the sets, by probabilities (N, C) that are not
        tempered. The most probable grade is always in it."""
        inside = 1 - probabilities <= self.thresholds(coverage) + ROUNDING
        inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
        lowest = inside.argmax(axis=1)
        highest = inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
        return np.stack([lowest, highest], axis=1)


def fit_conformal(p: Predictions, used: np.ndarray, chosen: tuple[str, ...]) -> Conformal:
    """From the photographs of `used` (N,) bool, of each patient the one whose name has the smallest
    sha256. `chosen` as in `Conformal`."""
    first: dict[str, tuple[str, int]] = {}
    for place in np.flatnonzero(used).tolist():
        owner = str(p.patient_ids[place]) or str(p.sample_ids[place])
        ranked = (_sha256(str(p.sample_ids[place])), place)
        first[owner] = min(first.get(owner, ranked), ranked)
    rows = np.array(sorted(place for _, place in first.values()), dtype=np.int64)
    scores = 1 - p.probabilities[rows, p.targets[rows]]
    return Conformal(
        tuple(scores.clip(0, 1).tolist()), tuple(p.targets[rows].tolist()), p.num_classes, chosen
    )


def cross_fitted_sets(p: Predictions) -> np.ndarray:
    """(N, 2) sets at the usual coverage, those of a fifth of the patients by the scores of all
    others; who is in which fifth follows from the sha256 of the patient."""
    owners = np.where(p.patient_ids == "", p.sample_ids, p.patient_ids)
    parts = np.array([int(_sha256(str(owner))[:8], 16) % FIFTHS for owner in owners])
    sets = np.empty((len(parts), 2), dtype=np.int64)
    for part in np.unique(parts):
        own = parts == part
        fitted = fit_conformal(p, ~own, ())
        sets[own] = fitted.sets(p.probabilities[own], COVERAGE)
    return sets


def covered(sets: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(N,) bool: whether grades (N,) are in sets (N, 2)."""
    return (sets[:, 0] <= targets) & (targets <= sets[:, 1])


def _sha256(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def _quantile(scores: np.ndarray, coverage: float) -> float:
    """The smallest score that at least `coverage` of the n + 1 photographs do not exceed, one of
    them new; 1 where that needs more photographs than there are."""
    rank = math.ceil((len(scores) + 1) * coverage - ROUNDING)
    return float(scores[rank - 1]) if rank <= len(scores) else 1.0
