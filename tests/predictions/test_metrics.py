"""Every metric against scikit-learn, on real images' predictions and on random ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from dr_ovo.predictions import metrics
from dr_ovo.predictions.auc import BLOCK, RankedScores, binary_auc, cumulated

seeds = st.integers(0, 2**32 - 1)


def labels(seed, count=60, classes=5):
    random = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(classes), random.integers(classes, size=count)])
    return targets, random.integers(classes, size=len(targets))


@given(seeds)
def test_grades_against_scikit_learn(seed):
    targets, predicted = labels(seed)
    matrix = metrics.confusion_matrix(targets, predicted, 5)
    np.testing.assert_array_equal(matrix, reference.confusion_matrix(targets, predicted))
    assert metrics.accuracy(targets, predicted) == pytest.approx(
        reference.accuracy_score(targets, predicted)
    )
    assert metrics.balanced_accuracy(targets, predicted, 5) == pytest.approx(
        reference.balanced_accuracy_score(targets, predicted)
    )
    assert metrics.quadratic_kappa(targets, predicted, 5) == pytest.approx(
        reference.cohen_kappa_score(targets, predicted, weights="quadratic")
    )
    f1 = reference.f1_score(targets, predicted, average=None)
    np.testing.assert_allclose([metrics.f1_of(matrix, grade) for grade in range(5)], f1)


def test_real_images_against_scikit_learn(retina):
    targets, probabilities = retina.targets, retina.probabilities
    assert metrics.quadratic_kappa(targets, retina.predicted, 5) == pytest.approx(
        reference.cohen_kappa_score(targets, retina.predicted, weights="quadratic")
    )
    assert metrics.macro_auc(targets, probabilities) == pytest.approx(
        reference.roc_auc_score(targets, probabilities, multi_class="ovr")
    )
    squared_error = reference.mean_squared_error(np.eye(5)[targets], probabilities)
    assert metrics.brier(targets, probabilities) == pytest.approx(5 * squared_error)


@given(seeds, st.integers(1, 6))
def test_binary_auc_with_ties_against_scikit_learn(seed, levels):
    random = np.random.default_rng(seed)
    positive = np.concatenate([[True, False], random.random(40) < 0.4])
    scores = random.integers(levels, size=42).astype(float)
    assert binary_auc(positive, scores) == pytest.approx(reference.roc_auc_score(positive, scores))


@given(seeds)
def test_weighted_auc_against_scikit_learn(seed):
    random = np.random.default_rng(seed)
    positive = np.concatenate([[True, False], random.random(40) < 0.4])
    scores = random.integers(9, size=42).astype(float)
    weights = random.integers(1, 4, size=(42, 3)).astype(np.float32)
    expected = [reference.roc_auc_score(positive, scores, sample_weight=w) for w in weights.T]
    np.testing.assert_allclose(
        RankedScores(positive, ~positive, scores).auc(weights), expected, rtol=1e-6
    )


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_auc_of_more_samples_than_a_block(ties):
    random = np.random.default_rng(3)
    positive, weights = random.random(3000) < 0.4, random.integers(0, 4, size=(3000, 2))
    scores = random.integers(50, size=3000) if ties else random.permutation(3000)
    expected = [reference.roc_auc_score(positive, scores, sample_weight=w) for w in weights.T]
    auc = RankedScores(positive, ~positive, scores).auc(weights.astype(np.float32))
    np.testing.assert_allclose(auc, expected, rtol=1e-12)


@given(seeds, st.integers(0, 3 * BLOCK**2))
def test_cumulated_is_the_cumulative_sum(seed, count):
    rows = np.random.default_rng(seed).integers(9, size=(count, 3)).astype(np.float32)
    before = rows.copy()
    np.testing.assert_array_equal(cumulated(rows), np.cumsum(rows, axis=0))
    assert cumulated(rows).dtype == rows.dtype
    np.testing.assert_array_equal(rows, before)


def test_group_sums_leave_out_other_groups():
    groups = np.array([2, 0, -1, 2, 3])
    weights = np.array([[1, 10], [2, 20], [4, 40], [8, 80], [16, 160]], dtype=np.float32)
    expected = [[2, 20], [0, 0], [9, 90]]
    np.testing.assert_array_equal(metrics.group_sums(groups, 3) @ weights, expected)


@given(seeds)
def test_weighted_confusions_against_scikit_learn(seed):
    targets, predicted = labels(seed)
    weights = np.random.default_rng(seed).integers(0, 4, size=(len(targets), 2))
    found = metrics.weighted_confusions(targets, predicted, 5, weights.astype(np.float32))
    for matrix, w in zip(found, weights.T, strict=True):
        expected = reference.confusion_matrix(targets, predicted, sample_weight=w)
        np.testing.assert_array_equal(matrix, expected)


def test_no_samples_have_a_confusion_matrix_of_zeros():
    np.testing.assert_array_equal(metrics.confusion_matrix([], [], 3), np.zeros((3, 3)))


@given(seeds)
def test_log_loss_against_scikit_learn(seed):
    random = np.random.default_rng(seed)
    targets, logits = random.integers(2, size=30), random.normal(0, 3, size=30)
    expected = reference.log_loss(targets, 1 / (1 + np.exp(-logits)), labels=[0, 1])
    assert metrics.log_loss_binary(targets, logits) == pytest.approx(expected)


def test_log_loss_of_a_sure_mistake_is_finite():
    assert metrics.log_loss_binary([1], [-1000.0]) == pytest.approx(1000)


def test_sensitivity_and_specificity_by_hand():
    positive = np.array([True, True, True, True, False, False])
    called = np.array([True, True, True, False, True, False])
    assert metrics.sensitivity_specificity(positive, called) == (0.75, 0.5)


def test_expected_calibration_error_by_hand():
    # Bin (12/15, 13/15]: confidence 0.85 twice, one hit: gap 0.7. Bin (8/15, 9/15]: 0.6, hit: 0.4.
    probabilities = np.array([[0.85, 0.15], [0.85, 0.15], [0.4, 0.6]])
    assert metrics.expected_calibration_error([0, 1, 1], probabilities) == pytest.approx(1.1 / 3)


def test_a_bins_upper_edge_is_its_own():
    gaps = metrics.calibration_gaps(np.array([0, 0]), np.array([[1.0, 0.0], [0.6, 0.4]]))
    np.testing.assert_array_equal(gaps.any(axis=1).nonzero()[0], [8])  # 9/15; the sure hit is 0
    assert gaps[8, 1] == pytest.approx(0.4)


def test_brier_by_hand():
    assert metrics.brier([0, 1], np.array([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(1.0)


def test_what_cannot_be_computed_is_nan():
    three = np.array([0, 0, 2])
    assert np.isnan(metrics.balanced_accuracy(three, three, 3))
    assert np.isnan(metrics.macro_auc(three, np.eye(3)[three]))
    assert np.isnan(metrics.quadratic_kappa([1, 1], [1, 1], 3))
    assert np.isnan(binary_auc(np.array([True, True]), np.array([0.1, 0.9])))
    assert np.isnan(metrics.f1_of(metrics.confusion_matrix([0, 0], [0, 1], 2), 1))
    assert np.isnan(metrics.accuracy([], []))
    assert np.isnan(metrics.log_loss_binary([], []))
    assert np.isnan(metrics.sensitivity_specificity([True], [True])[1])
