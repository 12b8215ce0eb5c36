"""The weights of an ensemble's members."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, log_loss

from dr_ovo.ensembles.weights import MemberPredictions, by_score, equal, greedy, weigher


def answers_of(targets, probabilities, patients=None):
    probabilities = np.asarray(probabilities, dtype=float)
    return MemberPredictions(
        np.asarray(targets),
        np.arange(len(targets)) if patients is None else patients,
        probabilities.argmax(axis=2),
        probabilities,
    )


def drawn_answers(strengths, count=300, seed=0):
    """Members that each see the truth through noise of their own."""
    random = np.random.default_rng(seed)
    targets = random.integers(5, size=count)
    logits = random.normal(size=(len(strengths), count, 5))
    logits += np.array(strengths)[:, None, None] * np.eye(5)[targets]
    exponents = np.exp(logits)
    return answers_of(targets, exponents / exponents.sum(axis=2, keepdims=True))


def test_weights_in_proportion_to_accuracy_by_hand():
    sure = np.eye(2)[[[0, 0, 1, 1], [0, 1, 1, 0]]]  # right on 4 and on 2 of 4
    weights = weigher("weighted", "accuracy")(answers_of([0, 0, 1, 1], sure))
    np.testing.assert_allclose(weights, [2 / 3, 1 / 3])


def test_weights_in_proportion_to_kappa():
    answers = drawn_answers([2.0, 1.0, 0.5])
    kappas = [cohen_kappa_score(answers.targets, g, weights="quadratic") for g in answers.grades]
    np.testing.assert_allclose(by_score("kappa")(answers), kappas / np.sum(kappas))


def test_a_kappa_below_zero_counts_as_none():
    right, wrong = np.eye(2)[[0, 0, 1, 1]], np.eye(2)[[1, 1, 0, 0]]
    answers = answers_of([0, 0, 1, 1], [right, wrong])
    assert by_score("kappa")(answers).tolist() == [1, 0]
    assert by_score("kappa")(answers.members([1])).tolist() == [1]  # all 0: all the same


@pytest.mark.parametrize("method", ["mean", "vote"])
def test_mean_and_vote_count_all_the_same(method):
    answers = drawn_answers([2.0, 0.1])
    assert weigher(method, "accuracy")(answers).tolist() == equal(answers).tolist() == [0.5, 0.5]


def test_greedy_leaves_out_a_member_that_only_guesses():
    weights = greedy(drawn_answers([2.0, 2.0, 0.0]))
    assert weights[2] == 0
    assert weights[:2].min() > 0.3


def test_greedy_prefers_a_mean_that_a_finer_search_can_not_better_by_much():
    answers = drawn_answers([1.5, 1.0], count=2000)

    def loss(share):
        _, mean = answers.combined("greedy", np.array([share, 1 - share]))
        return log_loss(answers.targets, mean)

    best = min(loss(share) for share in np.linspace(0, 1, 101))
    assert loss(greedy(answers)[0]) == pytest.approx(best, abs=1e-3)


def test_greedy_is_repeatable_and_ignores_the_order_of_the_members():
    answers = drawn_answers([1.5, 1.0, 0.5])
    turned = answers.members([2, 0, 1])
    np.testing.assert_array_equal(greedy(answers), greedy(answers))
    np.testing.assert_allclose(greedy(answers)[[2, 0, 1]], greedy(turned))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-1, 3), min_size=1, max_size=6),
    st.integers(2, 40),
    st.sampled_from(["mean", "weighted", "greedy", "vote"]),
    st.sampled_from(["accuracy", "kappa"]),
)
def test_weights_are_shares(strengths, count, method, weight_by):
    weights = weigher(method, weight_by)(drawn_answers(strengths, count))
    assert weights.shape == (len(strengths),)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
