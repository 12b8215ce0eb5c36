"""Picks representatives of clusters of copies, so that many copies don't hide other neighbours.

The search gives each picture only its few nearest neighbours. If these are copies of one another, a
copy altered in another way may be missing. Such pictures are searched again, among two
representatives of each cluster.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dr_ovo.copies.candidate_search import NEAREST, Descriptors, coarse, in_orientation
from dr_ovo.copies.descriptor import ORIENTATIONS

PER_CLUSTER = 2
# Other clusters that must be among the NEAREST neighbours of a picture: as many as are left if each
# photograph has one copy, which is how the alterations were measured. PER_CLUSTER representatives
# leave as many, so that they are searched again only where clusters have merged.
MIN_OTHERS = NEAREST // PER_CLUSTER


def crowded(nearest: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) bool: which of N pictures have all NEAREST neighbours, but from too few clusters.

    `nearest` (N, NEAREST) are the neighbours' positions (-1: none), `labels` (N,) the clusters.
    """
    seen = np.sort(labels[nearest], axis=1)
    distinct = 1 + (seen[:, 1:] != seen[:, :-1]).sum(axis=1)
    others = distinct - (seen == labels[:, None]).any(axis=1)
    return np.asarray((nearest >= 0).all(axis=1) & (others < MIN_OTHERS))


def representatives(descriptors: Descriptors, labels: Sequence[int]) -> np.ndarray:
    """(M,) ascending positions: all members of clusters of up to PER_CLUSTER pictures; of larger
    ones the most central picture and the one least similar to it.

    `labels` are the clusters of the `descriptors`.
    """
    members: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        members.setdefault(label, []).append(position)
    chosen = []
    for cluster in members.values():
        if len(cluster) > PER_CLUSTER:
            chosen += [cluster[at] for at in _middle_and_edge([descriptors[n] for n in cluster])]
        else:
            chosen += cluster
    return np.array(sorted(chosen), np.int64)


def _middle_and_edge(descriptors: Sequence[np.ndarray]) -> tuple[int, int]:
    """Positions of the descriptor most similar to the mean, and of the one least similar to it."""
    base = coarse(descriptors)
    best, upright = np.full(len(base), -np.inf, np.float32), base.copy()
    for orientation in range(len(ORIENTATIONS)):
        view = in_orientation(base, orientation)
        score = view @ base[0]
        better = score > best
        best[better], upright[better] = score[better], view[better]
    middle = int(np.argmax(upright @ upright.mean(axis=0)))
    similarity = upright @ upright[middle]
    similarity[middle] = np.inf
    return middle, int(np.argmin(similarity))
