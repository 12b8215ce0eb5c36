"""Pairwise coupling against hand-worked cases and the paper's own iteration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from dr_ovo.decoding.coupling import coupled_probabilities
from dr_ovo.pairs import class_pairs


def logits_of(probabilities):
    """The logits (1, P) of pairs that agree with class probabilities exactly."""
    pairs = class_pairs(len(probabilities))
    return np.array([[np.log(probabilities[b] / probabilities[a]) for a, b in pairs]])


def iterated(logits, classes):
    """Algorithm 2 of Wu, Lin & Weng (2004), for one sample."""
    wins = np.zeros((classes, classes))
    for value, (a, b) in zip(logits, class_pairs(classes), strict=True):
        wins[b, a], wins[a, b] = expit(value), expit(-value)
    q = -wins.T * wins
    np.fill_diagonal(q, (wins**2).sum(axis=0))
    p = np.full(classes, 1 / classes)
    for _ in range(1000):
        for t in range(classes):
            p[t] = (-(q[t] @ p - q[t, t] * p[t]) + p @ q @ p) / q[t, t]
            p /= p.sum()
    return p


def test_a_contradictory_three_class_case_worked_by_hand():
    # r_01 = r_02 = 1/2, r_12 = 3/4, so Q = [[8,-4,-4],[-4,5,-3],[-4,-3,13]] / 16.
    # Qp = b(1,1,1): rows 2 and 3 give p_1 = 2 p_2; with sum 1, rows 1 and 2 give p_0 = 19/55.
    found = coupled_probabilities(np.array([[0.0, 0.0, logit(0.25)]]), 3)
    np.testing.assert_allclose(found, [[19 / 55, 24 / 55, 12 / 55]], atol=1e-12)


@pytest.mark.parametrize("expected", [[0.5, 0.3, 0.2], [0.97, 0.01, 0.005, 0.01, 0.005]])
def test_pairs_that_agree_give_back_their_probabilities(expected):
    found = coupled_probabilities(logits_of(expected), len(expected))
    np.testing.assert_allclose(found, [expected], atol=1e-10)


def test_two_classes_are_the_sigmoid():
    logits = np.array([[-30.0], [-2.0], [0.0], [0.7], [30.0]])
    found = coupled_probabilities(logits, 2)
    np.testing.assert_allclose(found[:, 1], expit(logits[:, 0]), atol=2e-9)


@pytest.mark.parametrize("scale", [10.0, 50.0, 1e4])
@pytest.mark.parametrize("winner", range(5))
def test_certain_pairs_give_a_certain_class(scale, winner):
    rank = (np.arange(5) - winner) % 5  # 0 for the winner, then a strict order
    logits = np.array([[scale * np.sign(rank[a] - rank[b]) for a, b in class_pairs(5)]])
    found = coupled_probabilities(logits, 5)[0]
    assert found.argmax() == winner
    assert found[winner] > 0.999
    np.testing.assert_allclose(found.sum(), 1, atol=1e-12)


def test_certain_pairs_in_a_circle_give_equal_probabilities():
    logits = np.array([[-1e3, 1e3, -1e3]])  # 0 beats 1 beats 2 beats 0
    np.testing.assert_allclose(coupled_probabilities(logits, 3), [[1 / 3] * 3], atol=1e-8)


def test_no_probability_is_negative_by_rounding():
    logits = np.random.default_rng(0).normal(0, 20, (5000, 10))
    found = coupled_probabilities(logits, 5)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)


@settings(max_examples=25)
@given(st.integers(2, 6), st.integers(0, 2**32 - 1), st.floats(0.1, 3.0))
def test_the_solution_is_the_papers_iteration(classes, seed, scale):
    size = (3, len(class_pairs(classes)))
    logits = np.clip(np.random.default_rng(seed).normal(0, scale, size), -4, 4)
    found = coupled_probabilities(logits, classes)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    assert (found >= 0).all()
    expected = [iterated(row, classes) for row in logits[:1]]
    np.testing.assert_allclose(found[:1], expected, atol=1e-6)
