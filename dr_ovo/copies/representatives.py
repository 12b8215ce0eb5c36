"""Pictures that stand for a cluster of copies, so that many copies don't hide other pictures.

Each picture sees its nearest few alone. Where these are full of copies of one another, a copy that
was altered another way is not among them: those are searched again, two of each cluster at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dr_ovo.copies.candidate_search import NEAREST, Descriptors, coarse, in_orientation
from dr_ovo.copies.descriptor import ORIENTATIONS

PER_CLUSTER = 2
# Other clusters that a picture must see where it sees NEAREST others. So many are left where each
# photograph has one copy, among which all alterations were measured; two of each cluster show as
# many, so that pictures once represented are not searched again unless clusters have merged.
MIN_OTHERS = NEAREST // PER_CLUSTER


def crowded(nearest: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) bool: which of N pictures see as many others as they may, yet of too few clusters.

    `nearest` (N, NEAREST) are the positions they see (-1: none), `labels` (N,) the clusters.
    """
    seen = np.sort(labels[nearest], axis=1)
    kinds = 1 + (seen[:, 1:] != seen[:, :-1]).sum(axis=1)
    others = kinds - (seen == labels[:, None]).any(axis=1)
    return np.asarray((nearest >= 0).all(axis=1) & (others < MIN_OTHERS))


def representatives(descriptors: Descriptors, labels: Sequence[int]) -> np.ndarray:
    """(M,) rising positions: all of each cluster with PER_CLUSTER pictures and fewer, and of the
    others the one in their middle and the one least like that.

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
    """The positions of the descriptor most like the mean of all, and of that least like it."""
    base = coarse(descriptors)
    best, upright = np.full(len(base), -np.inf, np.float32), base.copy()
    for orientation in range(len(ORIENTATIONS)):
        view = in_orientation(base, orientation)
        score = view @ base[0]
        better = score > best
        best[better], upright[better] = score[better], view[better]
    middle = int(np.argmax(upright @ upright.mean(axis=0)))
    likeness = upright @ upright[middle]
    likeness[middle] = np.inf
    return middle, int(np.argmin(likeness))
