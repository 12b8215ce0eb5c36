"""Photographs taken alike."""

import numpy as np
import pytest

from dr_ovo.audit.grade_signal.acquisition_clusters import (
    MIN_CLUSTER,
    SPAN,
    acquisition_clusters,
)
from tests.conftest import real_data


def cameras(*counts_and_places: tuple[int, tuple[float, float, float]]) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = [place + rng.uniform(-0.004, 0.004, (n, 3)) for n, place in counts_and_places]
    return np.concatenate(rows)


TWO = ((120, (1.5, 0.68, 0.9)), (200, (1.5, 0.84, 1.0)))


def test_each_camera_is_a_cluster():
    labels = acquisition_clusters(cameras(*TWO))
    assert len(set(labels[:120])) == len(set(labels[120:])) == 1
    assert labels[0] != labels[-1]
    assert labels.min() == 0


def test_neither_order_nor_copies_change_who_is_together():
    geometry = cameras(*TWO, (70, (1.0, 0.93, 1.0)))
    order = np.random.default_rng(1).permutation(len(geometry))
    labels, mixed = acquisition_clusters(geometry), acquisition_clusters(geometry[order])
    same = labels[:, None] == labels
    assert (same[np.ix_(order, order)] == (mixed[:, None] == mixed)).all()


def test_a_small_cluster_joins_a_near_one_and_a_far_one_is_compared_with_none():
    near = (MIN_CLUSTER - 1, (1.5, 0.68 + 0.9 * SPAN, 0.9))
    far = (MIN_CLUSTER - 1, (1.5, 0.3, 0.3))
    labels = acquisition_clusters(cameras(*TWO, near, far))
    assert set(labels[-far[0] :]) == {-1}
    assert (labels[: -far[0]] >= 0).all()
    assert len(set(labels[: -far[0]])) == 2


@pytest.mark.parametrize("count", [1, MIN_CLUSTER - 1])
def test_few_pictures_are_in_no_cluster(count):
    assert set(acquisition_clusters(cameras((count, (1.0, 1.0, 1.0))))) == {-1}


def test_one_camera_is_one_cluster():
    assert set(acquisition_clusters(np.ones((300, 3)))) == {0}


def test_the_cameras_of_aptos():
    with np.load(real_data("aptos_statistics") / "aptos_statistics.npz") as held:
        width, height, grades = held["disc_width"], held["disc_height"], held["grades"]
    labels = acquisition_clusters(np.stack([np.ones(len(width)), width, height], axis=1))
    assert len(set(labels[labels >= 0])) == 7
    narrow = (width > 0.66) & (width < 0.685)
    (own,) = set(labels[narrow])
    assert set(grades[labels == own]) == {0}
