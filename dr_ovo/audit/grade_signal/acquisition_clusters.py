"""Clusters of photographs that were taken alike: by the frame's aspect and the disc's outline."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

# Measured on APTOS 2019's statistics (3,564 photographs).
SPAN = 0.03  # of width, height, log aspect: .01 to .03 give APTOS the same cameras, .05 joins two
MIN_CLUSTER = 50


def acquisition_clusters(geometry: np.ndarray) -> np.ndarray:
    """(N,) integers: clusters of like `geometry` (N, 3): the frame's aspect (width / height), and
    the disc's width and height as shares of it. -1: too few are alike.

    Complete linkage, cut at SPAN; then, smallest first, a cluster of fewer than MIN_CLUSTER joins
    the nearest one, where that is within SPAN. Neither the pictures' order nor a grade matters.
    """
    places = geometry.astype(np.float64)
    places[:, 0] = np.log(places[:, 0])
    # Each place once, sorted: the tree does not depend on the pictures' order.
    points, owner, weights = np.unique(
        np.round(places, 4), axis=0, return_inverse=True, return_counts=True
    )
    labels = np.zeros(len(points), np.int64)
    if len(points) > 1:
        tree = linkage(points, "complete", metric="chebyshev")
        labels = fcluster(tree, SPAN + 1e-9, "distance") - 1
    merged = _merged(points, weights, labels)[owner.ravel()]
    return np.asarray(np.unique(merged, return_inverse=True)[1] - int((merged < 0).any()))


def _merged(points: np.ndarray, weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`labels` (P,) of `points` (P, 3), each `weights` (P,) pictures, after the smallest cluster
    below MIN_CLUSTER joined its nearest neighbour, until there is none.

    -1 for those without a neighbour: a camera of few pictures is not compared with another's.
    """
    labels = labels.copy()
    counts = np.bincount(labels, weights=weights)
    sums = np.stack([np.bincount(labels, weights=weights * column) for column in points.T], axis=1)
    open_ = np.ones(len(counts), bool)
    while open_.any():
        centres = np.where(open_[:, None], sums / counts[:, None], np.inf)
        # Ties in size go by place: the numbers of clusters mean nothing.
        smallest = int(np.lexsort((*centres.T[::-1], np.where(open_, counts, np.inf)))[0])
        if counts[smallest] >= MIN_CLUSTER:
            break
        away = np.abs(centres - centres[smallest]).max(axis=1)
        away[smallest] = np.inf
        near = int(np.argmin(away))
        joined = near if away[near] <= SPAN else -1
        labels[labels == smallest] = joined
        open_[smallest] = False
        if joined >= 0:
            counts[near] += counts[smallest]
            sums[near] += sums[smallest]
    return labels
