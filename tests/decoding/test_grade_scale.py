"""The scale that turns a number into probabilities, and its fit."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import norm

from dr_ovo.decoding import grade_scale
from dr_ovo.decoding.decoders import Fitted, decode
from dr_ovo.decoding.fitting import fitted_from_json, fitted_json
from dr_ovo.decoding.grade_scale import GradeScale, fit_scale, unfitted_scale


def drawn(count: int, scale: GradeScale) -> tuple[np.ndarray, np.ndarray]:
    """Numbers, and grades that follow the scale."""
    rng = np.random.default_rng(1)
    numbers = rng.normal(1.5, 1.5, count)
    noisy = numbers + rng.normal(0, scale.sigma, count)
    return numbers, (noisy[:, None] > np.array(scale.cutpoints)).sum(axis=1)


def test_probabilities_are_those_of_ordered_probit():
    scale = GradeScale((0.5, 1.2, 3.0), 0.8)
    found = scale.probabilities(np.array([0.0, 1.0, 9.0]))
    edges = norm.cdf((np.array([0.5, 1.2, 3.0]) - np.array([[0.0], [1.0], [9.0]])) / 0.8)
    expected = np.diff(np.hstack([np.zeros((3, 1)), edges, np.ones((3, 1))]), axis=1)
    assert found == pytest.approx(expected)
    assert (found >= 0).all()


def test_the_fit_finds_the_scale_again():
    truth = GradeScale((0.4, 1.3, 2.2, 3.8), 0.7)
    found = fit_scale(*drawn(20000, truth), 5)
    assert found.cutpoints == pytest.approx(truth.cutpoints, abs=0.05)
    assert found.sigma == pytest.approx(truth.sigma, abs=0.03)


def test_its_gradient():
    numbers, targets = drawn(300, GradeScale((0.4, 1.3, 2.2, 3.8), 0.7))
    at = np.array([0.3, 0.1, -0.2, 0.3, -0.4])
    error = check_grad(
        lambda x: grade_scale._negative_log_likelihood(x, numbers, targets)[0],
        lambda x: grade_scale._negative_log_likelihood(x, numbers, targets)[1],
        at,
    )
    assert error < 1e-5


@pytest.mark.parametrize(
    "targets", [[0, 0, 1, 1], [0, 4, 4, 4], [2, 2, 3, 3], [0, 1, 3, 4]], ids=str
)
def test_few_or_separable_grades_give_a_usable_scale(targets):
    scale = fit_scale(np.array([0.1, 1.1, 2.9, 4.2]), np.array(targets), 5)
    assert 0.05 <= scale.sigma <= 20
    assert list(scale.cutpoints) == sorted(scale.cutpoints)
    found = scale.probabilities(np.linspace(-5, 9, 50))
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found >= 0).all()


@pytest.mark.parametrize("far", [-8.0, 6.0, 30.0, 1e4])
def test_numbers_far_from_the_grades_are_fitted_as_near_ones(far):
    rng = np.random.default_rng(3)
    targets = rng.integers(0, 5, 300)
    values = targets + rng.normal(0, 0.3, 300)
    near, moved = (fit_scale(each, targets, 5) for each in (values, values + far))
    assert moved.probabilities(values + far) == pytest.approx(near.probabilities(values), abs=5e-3)
    assert moved.sigma == pytest.approx(near.sigma, rel=0.02)


def test_numbers_that_say_nothing_give_no_certainty():
    """As of a head that diverged: far from the grades, and the same for all of them."""
    values, targets = np.linspace(27, 33, 10), np.array([0, 1] * 5)
    assert np.abs(fit_scale(values, targets, 2).probabilities(values) - 0.5).max() < 0.2


def test_one_grade_fits_nothing():
    assert fit_scale(np.array([0.0, 1.0]), np.array([3, 3]), 5) == unfitted_scale(5)


def test_decoding_a_number():
    logits = np.array([[-3.0], [0.49], [0.9], [2.2], [9.0]])
    grades, probabilities = decode("regression", logits, 5)
    assert grades.tolist() == [0, 0, 1, 2, 4]
    assert probabilities.argmax(axis=1).tolist() == [0, 0, 1, 2, 4]
    fitted = Fitted(GradeScale((0.0, 1.0, 2.0, 3.0), 0.2), (0.2, 0.4, 2.0, 8.0))
    grades, probabilities = decode("regression", logits, 5, "coupling", fitted=fitted)
    assert grades.tolist() == [0, 2, 2, 3, 4]
    assert probabilities.argmax(axis=1).tolist() == [0, 1, 1, 3, 4]


def test_as_json_and_back():
    fitted = Fitted(GradeScale((0.0, 1.0), 0.2), (0.5, 2.5))
    assert fitted_from_json(fitted_json(fitted)) == fitted
    assert fitted_from_json(fitted_json(Fitted())) == Fitted()
    assert fitted_from_json(None) == Fitted()


@pytest.mark.parametrize(
    "change",
    [
        {"cutpoints": [1.0, 0.5]},
        {"cutpoints": ["a"]},
        {"sigma": 0.0},
        {"sigma": None},
        {"sigma": float("nan")},
        {"thresholds": [float("nan")]},
        {"thresholds": "none"},
    ],
    ids=str,
)
def test_damaged_json_is_refused(change):
    data = fitted_json(Fitted(GradeScale((0.0, 1.0), 0.2), (0.5, 2.5)))
    with pytest.raises((TypeError, ValueError)):
        fitted_from_json(data | change)
