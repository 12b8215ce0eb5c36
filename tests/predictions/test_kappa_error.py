"""The standard error of kappa against statsmodels, and against a bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from dr_ovo.predictions.kappa_error import kappa_standard_error
from dr_ovo.predictions.metrics import confusion_matrix, kappa_of

# Of a network on 390 photographs: grades in the usual shares, errors mostly of one grade.
GRADED = np.array(
    [
        [121, 9, 4, 1, 0],
        [8, 6, 7, 0, 0],
        [10, 12, 88, 22, 4],
        [1, 1, 18, 30, 9],
        [0, 1, 8, 12, 18],
    ]
)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_that_of_statsmodels(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 7))
    confusion = rng.integers(0, 20, (classes, classes)) + 5 * np.eye(classes, dtype=np.int64)
    distances = (np.arange(classes)[:, None] - np.arange(classes)) ** 2
    expected = cohens_kappa(confusion, weights=distances.astype(float)).std_kappa
    assert kappa_standard_error(confusion) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("share", [1, 4])
def test_it_is_about_that_of_a_bootstrap(share):
    confusion = GRADED // share
    count = confusion.sum()
    draws = np.random.default_rng(1).multinomial(count, confusion.ravel() / count, 20_000)
    spread = np.nanstd(kappa_of(draws.reshape(-1, 5, 5)))
    assert kappa_standard_error(confusion) == pytest.approx(spread, rel=0.06)


def test_it_falls_with_the_root_of_the_number_of_images():
    assert kappa_standard_error(4 * GRADED) == pytest.approx(kappa_standard_error(GRADED) / 2)


def test_where_nothing_varies_it_is_zero():
    assert kappa_standard_error(np.diag([3, 4, 5])) == 0
    always_one = confusion_matrix([0, 1, 2, 2], [1, 1, 1, 1], 3)
    assert kappa_standard_error(always_one) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("confusion", [np.zeros((3, 3)), np.diag([7, 0, 0])])
def test_without_kappa_there_is_none(confusion):
    assert math.isnan(kappa_of(confusion))
    assert math.isnan(kappa_standard_error(confusion))
