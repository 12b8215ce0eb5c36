"""Decoder `expected`: rounding, and thresholds that maximise kappa."""

from itertools import combinations_with_replacement

import numpy as np
import pytest

from dr_ovo.decoding import expected_grade
from dr_ovo.decoding.decoders import Fitted, decode
from dr_ovo.decoding.expected_grade import MIN_IMAGES, fit_thresholds, grade_of
from dr_ovo.decoding.grade_scale import GradeScale
from dr_ovo.errors import UserError
from dr_ovo.predictions.metrics import quadratic_kappa
from tests.fixtures.slow import slow


def noisy(count: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, count)
    return np.round(targets * 0.6 + rng.normal(0, 0.8, count), 1), targets


@pytest.mark.parametrize("seed", [*range(3), *slow(*range(3, 12))])
def test_no_thresholds_give_a_larger_kappa(seed, monkeypatch):
    monkeypatch.setattr(expected_grade, "MIN_IMAGES", 0)
    values, targets = noisy(14, 3, seed)
    found = fit_thresholds(values, targets, 3)
    assert found is not None
    steps = np.arange(values.min() - 0.15, values.max() + 0.2, 0.05) + 0.001
    best = max(
        quadratic_kappa(targets, grade_of(values, 3, pair), 3)
        for pair in combinations_with_replacement(steps, 2)
    )
    assert quadratic_kappa(targets, grade_of(values, 3, found), 3) == pytest.approx(best)
    assert list(found) == sorted(found)


def test_they_are_fitted_from_200_images_on():
    values, targets = noisy(MIN_IMAGES, 5, 0)
    found = fit_thresholds(values, targets, 5)
    assert found is not None
    fitted, rounded = (
        quadratic_kappa(targets, grade_of(values, 5, thresholds), 5) for thresholds in (found, None)
    )
    assert fitted > rounded
    assert fit_thresholds(values[1:], targets[1:], 5) is None
    assert fit_thresholds(values, np.full(MIN_IMAGES, 2), 5) is None


def test_equal_numbers_are_not_cut_apart():
    values = np.repeat([0.0, 1.0], 150)
    targets = np.tile([0, 1], 150)
    found = fit_thresholds(values, targets, 2)
    assert found is not None
    assert len(np.unique(grade_of(values[:150], 2, found))) == 1


def test_rounding():
    values = np.array([-2.0, 0.49, 0.5, 1.5, 3.7, 9.0])
    assert grade_of(values, 5, None).tolist() == [0, 0, 1, 2, 4, 4]
    assert grade_of(values, 5, (0.5, 0.5, 2.0, 20.0)).tolist() == [0, 0, 2, 2, 3, 3]


def test_every_head_can_use_it():
    probabilities = np.array([[0.4, 0.0, 0.1, 0.2, 0.3]])
    logits = np.log(probabilities.clip(1e-9))
    assert decode("softmax", logits, 5)[0] == [0]
    assert decode("softmax", logits, 5, "expected")[0] == [2]  # 2.0 on average
    sharper = Fitted(temperature=0.2)
    assert decode("softmax", logits, 5, "expected", fitted=sharper)[0] == [1]
    high = Fitted(thresholds=(0.1, 0.2, 0.3, 0.4))
    assert decode("softmax", logits, 5, "expected", fitted=high)[0] == [4]
    assert decode("ordinal", np.full((1, 4), 3.0), 5, "expected")[0] == [4]
    pairs = np.zeros((1, 10))
    assert decode("ovo", pairs, 5, "expected")[0] == [2]  # all grades are equally probable


def test_what_class_weights_added_is_taken_away():
    logits = np.array([[1.0, 0.9, 0.0]])
    assert decode("softmax", logits, 3)[0] == [0]
    corrected = Fitted(prior_shift=(0.5, 0.0, -0.5))
    grades, probabilities = decode("softmax", logits, 3, fitted=corrected)
    assert grades == [1]
    assert probabilities == pytest.approx(decode("softmax", np.array([[0.5, 0.9, 0.5]]), 3)[1])


def test_thresholds_of_another_number_of_classes():
    with pytest.raises(UserError, match="3 thresholds of the grade, and 5 classes need 4"):
        grade_of(np.zeros(2), 5, (0.5, 1.5, 2.5))
    fitted = Fitted(GradeScale((0.5, 1.5, 2.5), 0.5))
    with pytest.raises(UserError, match="3 cutpoints between the grades, and 5 classes need 4"):
        decode("regression", np.zeros((2, 1)), 5, fitted=fitted)
