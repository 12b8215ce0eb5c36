"""Whether a grade that statistics tell is told by the camera rather than by a filter.

Cameras and clinics follow the grade in real sets: in APTOS 2019, 498 photographs whose disc is .67
to .68 of the frame wide are all grade 0. Statistics then tell the grade though nobody filtered by
it. So pictures are compared only with pictures taken alike (`acquisition_clusters`): what is left
of the signal among these is not explained by the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from dr_ovo.audit.grade_signal.classifier import (
    STOP_AUC,
    average_ranks,
    normal_scores,
    out_of_fold,
)

# Measured on APTOS 2019's statistics (3,564), its samples, and filters planted on one grade of it
# and really applied to idrid, idrid_small and retinamnist28.
MIN_COMPARED = 15  # of the grade, and of others, in a cluster
MIN_COVERAGE = 0.5  # APTOS, grade 0: .72
# Frame and outline alone tell APTOS' grade 0 at .89, simulated cameras theirs at .92; a filtered
# grade other than the camera's own at .53 to .85 (retinamnist28, JPEG 50 on grade 4: .64).
MIN_TOLD = 0.85
# Among pictures taken alike the limit is STOP_AUC as well: APTOS, grade 0: .939, half of it
# filtered by CLAHE .958.
# APTOS, grade 0: .949 (audited samples at most .957); grades under filters that change levels or
# sharpness .971 or more, under mere resampling or re-encoding .957 to .964: the two others hold.
STOP_BOUND = 0.97
CONFIDENCE = 0.95


@dataclass(frozen=True)
class LikeAcquisition:
    """How well statistics tell a grade among pictures of like acquisition.

    `clusters` is how many the set has, `told` the area at which a picture's cluster alone tells the
    grade, `coverage` the share of the grade's pictures that can be compared, `area` the area under
    the ROC curve over pairs of one cluster, `bound` its upper 95 % bound; both NaN where nothing
    can be compared. `reason` says why the camera does not explain the signal; empty where it does:
    a warning, `acquisition_reveals_grade`, instead of a leak.
    """

    clusters: int
    told: float
    coverage: float
    area: float
    bound: float
    reason: str


def like_acquisition(
    statistics: np.ndarray,
    scores: np.ndarray,
    positive: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray,
    clusters: np.ndarray,
) -> LikeAcquisition:
    """Judges a grade whose area in the whole set is at STOP_AUC or more.

    `statistics` (N, S); `scores` (N,) the whole set's classifier's, out of `folds` (N,);
    `positive` (N,) bool the grade's pictures; `groups` (N,) integers, the patients; `clusters`
    (N,) of acquisition. Of two classifiers, the whole set's and one fitted on what differs among
    like pictures, the better decides: the first spends itself on the camera where that tells most.
    """
    count = len(np.unique(clusters[clusters >= 0]))
    compared = [c for c in _members(clusters) if _both(positive[c])]
    covered = float(sum(positive[c].sum() for c in compared) / positive.sum())
    area, bound, told = np.nan, np.nan, told_by_cluster(positive, clusters)
    if compared:
        refitted = scores_among_like(statistics, positive, folds, clusters)
        area, bound = max(_pooled_area(s, positive, groups, compared) for s in (scores, refitted))
    reason = _reason(count, told, covered, area, bound)
    return LikeAcquisition(count, told, covered, float(area), float(bound), reason)


def told_by_cluster(positive: np.ndarray, clusters: np.ndarray) -> float:
    """The area under the ROC curve at which the grade's share of a picture's cluster tells it.

    A picture in no cluster (-1) tells nothing: it has the grade's share of all pictures.
    """
    share = np.full(len(positive), positive.mean())
    for members in _members(clusters):
        share[members] = positive[members].mean()
    return float(_share_beaten(share, positive)[positive].mean())


def scores_among_like(
    statistics: np.ndarray, positive: np.ndarray, folds: np.ndarray, clusters: np.ndarray
) -> np.ndarray:
    """(N,) out-of-fold scores by a ridge regression on normal scores within each cluster.

    One regression for all clusters, the grade's share of each taken off: cameras are alike to it.
    """
    values, targets = np.zeros(statistics.shape), np.zeros((len(positive), 1))
    for members in _members(clusters):
        values[members] = normal_scores(statistics[members])
        targets[members, 0] = positive[members] - positive[members].mean()
    found = np.zeros(len(positive))
    alike = clusters >= 0
    found[alike] = out_of_fold(values[alike], targets[alike], folds[alike])[:, 0]
    return found


def _members(clusters: np.ndarray) -> list[np.ndarray]:
    """The positions of each cluster's pictures."""
    return [np.flatnonzero(clusters == name) for name in np.unique(clusters[clusters >= 0])]


def _both(positive: np.ndarray) -> bool:
    """Whether enough of (n,) bool is True, and enough False, to be compared."""
    found = int(positive.sum())
    return min(found, len(positive) - found) >= MIN_COMPARED


def _pooled_area(
    scores: np.ndarray, positive: np.ndarray, groups: np.ndarray, compared: list[np.ndarray]
) -> tuple[float, float]:
    """The area over the pairs within clusters, and its one-sided upper bound at CONFIDENCE.

    DeLong's variance (1988), a patient's pictures taken together (Obuchowski 1997).
    """
    pairs = [float(positive[c].sum()) * float((~positive[c]).sum()) for c in compared]
    area, influence = 0.0, np.zeros(len(scores))
    for members, share in zip(compared, np.array(pairs) / sum(pairs), strict=True):
        better = _share_beaten(scores[members], positive[members])
        within = float(better[positive[members]].mean())
        sizes = np.where(positive[members], positive[members].sum(), (~positive[members]).sum())
        influence[members] = share * (better - within) / sizes
        area += share * within
    judged = np.concatenate(compared)
    owners = np.unique(groups[judged], return_inverse=True)[1]
    summed = np.bincount(owners, weights=influence[judged])
    error = float(np.sqrt((summed**2).sum() * len(summed) / max(1, len(summed) - 1)))
    return area, min(1.0, area + float(ndtri(CONFIDENCE)) * error)


def _share_beaten(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """(n,) for each of the grade the share of others below it, for each other the share of the
    grade above it; ties count half."""
    ranks = average_ranks(scores)
    own = np.empty(len(scores))
    for kind in (positive, ~positive):
        own[kind] = average_ranks(scores[kind])
    lower = ranks - own  # how many of the other kind are below
    return np.where(positive, lower / (~positive).sum(), 1 - lower / positive.sum())


def _reason(clusters: int, told: float, coverage: float, area: float, bound: float) -> str:
    """Why the camera does not explain the signal; empty where it does."""
    if clusters < 2:
        return "the pictures can't be told apart by how they were taken"
    if coverage < MIN_COVERAGE:
        return (
            f"only {100 * coverage:.0f} % of its pictures have enough of other grades taken alike "
            "to be compared with"
        )
    if told < MIN_TOLD:
        return (
            f"frame and outline alone tell it at an area of {told:.2f}, and a camera that explains "
            f"the signal at {MIN_TOLD:.2f} or more"
        )
    if area >= STOP_AUC or bound >= STOP_BOUND:
        return f"among pictures taken alike the area is still {area:.3f} (at most {bound:.3f})"
    return ""
