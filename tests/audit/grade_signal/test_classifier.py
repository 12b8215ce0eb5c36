"""The classifier on image statistics, compared with scikit-learn, chance and planted signals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import norm, rankdata
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from dr_ovo.audit.grade_signal.classifier import (
    FOLDS,
    RIDGE,
    average_ranks,
    grade_signal,
    normal_scores,
    not_judged,
)


def noise(n: int = 200, statistics: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, statistics)), np.arange(n) % 5


def test_areas_are_those_of_scikit_learn():
    values, grades = noise()
    values[:, 0] += grades == 3
    groups = np.arange(len(grades))
    found = grade_signal(values, grades, groups, 5)
    folds = (np.random.default_rng(0).permutation(len(grades)) % FOLDS)[groups]
    normal, target = normal_scores(values), (grades == 3).astype(float)
    scores = np.zeros(len(grades))
    for fold in range(FOLDS):
        held_out = folds == fold
        model = Ridge(alpha=RIDGE).fit(normal[~held_out], target[~held_out])
        scores[held_out] = model.predict(normal[held_out]) - target[~held_out].mean()
    assert found.grade == 3
    assert found.scores == pytest.approx(scores)
    assert found.auc == pytest.approx(roc_auc_score(target, scores))
    assert found.aucs[3] == found.auc == found.aucs.max()


def test_noise_is_not_told_of_and_a_planted_grade_is():
    values, grades = noise()
    groups = np.arange(len(grades))
    found = grade_signal(values, grades, groups, 5)
    assert found.p > 0.05
    assert 0.4 < found.auc < 0.7
    values[:, 2] += 6.0 * (grades == 1)
    found = grade_signal(values, grades, groups, 5)
    assert (found.grade, found.p) == (1, pytest.approx(1 / 201))
    assert found.auc > 0.97
    assert found.recall > 0.9
    assert found.chance < 0.75


def test_copies_in_one_fold_don_t_help():
    values, grades = noise(100, 60)
    twice, both = np.repeat(values, 4, axis=0), np.repeat(grades, 4)
    apart = grade_signal(twice, both, np.arange(400), 5)
    together = grade_signal(twice, both, np.repeat(np.arange(100), 4), 5)
    assert apart.auc > 0.8
    assert together.auc < 0.7


def test_grades_with_few_pictures_are_not_judged():
    values, _ = noise(40)
    grades = np.array([0] * 20 + [1] * 17 + [2] * 3)
    found = grade_signal(values, grades, np.arange(40), 4)
    assert np.isnan(found.aucs).tolist() == [False, False, True, True]
    few = np.arange(40) % 4
    assert grade_signal(values, few, np.arange(40), 4) is None


@pytest.mark.parametrize("owners", [1, 2, FOLDS - 1])
def test_fewer_groups_than_folds_are_not_judged(owners):
    values, grades = noise()
    values[:, 2] += 6.0 * (grades == 1)
    assert grade_signal(values, grades, np.arange(200) % owners, 5) is None


def test_what_is_not_judged_is_told_with_its_reason():
    grades = np.array([0] * 20 + [1] * 17 + [2] * 3)
    names = ["healthy", "mild", "severe"]
    assert not_judged(grades[:37], np.arange(37), names[:2]) == []
    assert not_judged(grades, np.arange(40), names) == [
        "whether processing reveals the grade was not judged for severe: fewer than 15 pictures"
    ]
    assert not_judged(grades, np.arange(40) % 2, names) == [
        "whether processing reveals the grade was not judged: patients, groups and look-alikes "
        "leave 2 independent groups of pictures, and at least 5 are needed"
    ]


def test_as_many_groups_as_folds_are_judged_however_unequal():
    values, grades = noise()
    values[:, 2] += 6.0 * (grades == 1)
    found = grade_signal(values, grades, np.maximum(np.arange(200) - 195, 0), 5)
    assert np.isfinite([found.auc, found.recall, found.p, found.chance]).all()


SHAPES = arrays.array_shapes(max_dims=2, max_side=30)


@settings(max_examples=30)
@given(arrays.arrays(np.float64, SHAPES, elements=st.integers(-5, 5).map(float)))
def test_ranks_are_those_of_scipy(values):
    assert np.array_equal(average_ranks(values), rankdata(values, axis=0))


def test_normal_scores_are_those_of_scipy():
    values, _ = noise()
    normal = norm.ppf((rankdata(values, axis=0) - 0.5) / len(values))
    expected = (normal - normal.mean(axis=0)) / normal.std(axis=0)
    assert np.array_equal(normal_scores(values), expected)


def test_columns_without_values_of_their_own():
    values, _ = noise()
    values[:, 1] = 7.0
    assert (normal_scores(values)[:, 1] == 0).all()
    assert normal_scores(values)[:, 0].std() == pytest.approx(1)
