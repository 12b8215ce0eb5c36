"""Pictures whose neighbours are mostly copies, and the representatives of clusters."""

import numpy as np
import pytest

from dr_ovo.copies.candidate_search import NEAREST
from dr_ovo.copies.descriptor import DESCRIPTOR_SIDE, turned
from dr_ovo.copies.representatives import MIN_OTHERS, crowded, representatives


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (list(range(1, 11)), False),  # ten others
        ([0] * 10, True),  # its own copies alone
        ([0] * 5 + [1, 2, 3, 4, 5], False),
        ([0] * 6 + [1, 2, 3, 4], True),
        ([1, 2] * 5, True),  # copies of two others
        ([1, 2, 3, 4, 5] * 2, False),
        ([0] * 9 + [-1], False),  # it has room left
    ],
)
def test_who_sees_too_few_others(seen, expected):
    """Cluster k is at position k; the picture itself is of cluster 0."""
    assert len(seen) == NEAREST
    labels = np.arange(11)
    others = np.tile(np.arange(NEAREST), (10, 1))
    assert crowded(np.array([seen, *others]), labels).tolist() == [expected] + [False] * 10


def test_two_of_each_cluster_show_enough_others():
    """The neighbours are one other of its own cluster, and two of each other cluster."""
    assert 1 + 2 * MIN_OTHERS > NEAREST


def test_small_clusters_stand_for_themselves_and_large_ones_by_their_middle_and_edge():
    rng = np.random.default_rng(0)
    side = DESCRIPTOR_SIDE
    one, other = rng.normal(size=(2, side // 4, side // 4)).repeat(4, axis=1).repeat(4, axis=2)
    descriptors = [rng.normal(size=side * side) for _ in range(11)]
    # A cluster from `one` towards `other`, in different orientations; the third is central.
    for step, (share, orientation) in enumerate(
        zip((0.0, 0.1, 0.2, 0.3, 0.9), (0, 3, 5, 6, 2), strict=True)
    ):
        descriptors[2 * step] = turned(one + share * other, orientation).ravel()
    labels = [0, 1, 0, 3, 0, 3, 0, 7, 0, 9, 10]
    found = representatives([d / np.linalg.norm(d) for d in descriptors], labels)
    assert found.tolist() == [1, 3, 5, 6, 7, 8, 9, 10]
