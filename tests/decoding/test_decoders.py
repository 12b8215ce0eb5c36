"""Decoders under rotation of the labels, heads against hand-worked values and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from dr_ovo.decoding.coupling import coupled_probabilities
from dr_ovo.decoding.decoders import DECODERS, decode
from dr_ovo.decoding.heads import nonincreasing
from dr_ovo.errors import UserError
from dr_ovo.pairs import class_pairs


def rotated(logits, accuracy, classes, shift):
    """The logits (N, P) and accuracies (P,) after class c was renamed (c + shift) mod C."""
    pairs = class_pairs(classes)
    new_logits, new_accuracy = np.empty_like(logits), np.empty_like(accuracy)
    for column, (a, b) in enumerate(pairs):
        first, second = (a + shift) % classes, (b + shift) % classes
        place = pairs.index((min(first, second), max(first, second)))
        new_logits[:, place] = logits[:, column] if first < second else -logits[:, column]
        new_accuracy[place] = accuracy[column]
    return new_logits, new_accuracy


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("shift", range(3))
def test_each_label_wins_the_same_three_way_tie_once(decoder, shift):
    # 0 beats 1 by 3, 2 beats 0 by 1, 1 beats 2 by 2: a vote each, signed confidence 2, -1, -1.
    logits, accuracy = np.array([[-3.0, 1.0, -2.0]]), np.full(3, 0.8)
    assert decode("ovo", logits, 3, decoder, accuracy)[0] == [0]
    logits, accuracy = rotated(logits, accuracy, 3, shift)
    assert decode("ovo", logits, 3, decoder, accuracy)[0] == [shift]


@pytest.mark.parametrize("decoder", DECODERS)
@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_renaming_the_classes_renames_the_answer(decoder, classes, seed):
    random = np.random.default_rng(seed)
    count = len(class_pairs(classes))
    logits, accuracy = random.normal(0, 2, (20, count)), random.uniform(0.5, 1, count)
    predicted, probabilities = decode("ovo", logits, classes, decoder, accuracy)
    for shift in range(1, classes):
        moved = decode("ovo", *_with(logits, accuracy, classes, shift, decoder))
        np.testing.assert_array_equal(moved[0], (predicted + shift) % classes)
        np.testing.assert_allclose(moved[1], np.roll(probabilities, shift, axis=1), atol=1e-9)


def _with(logits, accuracy, classes, shift, decoder):
    logits, accuracy = rotated(logits, accuracy, classes, shift)
    return logits, classes, decoder, accuracy


def test_a_vote_tie_goes_to_the_confident_class_not_to_the_healthy_one():
    # Classes 0, 2 and 3 win two pairs each; 3 wins its own by far.
    logits = dict.fromkeys(class_pairs(4), 0.0)
    logits |= {(0, 1): -0.1, (0, 2): -0.1, (0, 3): 5.0, (1, 2): 0.1, (1, 3): 5.0, (2, 3): -0.1}
    predicted, _ = decode("ovo", np.array([list(logits.values())]), 4, "vote")
    assert predicted == [3]


def test_a_tie_in_everything_goes_to_the_highest_class():
    for decoder in DECODERS:
        assert decode("ovo", np.zeros((1, 10)), 5, decoder, np.full(10, 0.9))[0] == [4]


def test_votes_count_pairs_and_weights_count_their_accuracy():
    # 0 wins (0,1) and (0,2); 1 wins (1,2). By votes 0 leads 2 : 1.
    logits, accuracy = np.array([[-1.0, -1.0, -1.0]]), np.array([0.5, 0.4, 0.95])
    assert decode("ovo", logits, 3, "vote")[0] == [0]
    # By weight 1 leads 0.95 : 0.90.
    assert decode("ovo", logits, 3, "weighted", accuracy)[0] == [1]


def test_equal_sums_of_weights_are_a_tie_whatever_their_rounding():
    # With accuracies in tenths, whole numbers tell a tie exactly: 7 + 8 = 8 + 7 = 6 + 9.
    random = np.random.default_rng(0)
    pairs, ties = class_pairs(5), 0
    for _ in range(300):
        tenths, logits = random.integers(6, 10, size=10), random.normal(size=10)
        won = [(b if z > 0 else a) for (a, b), z in zip(pairs, logits, strict=True)]
        votes = np.bincount(won, weights=tenths, minlength=5)
        confidence = np.zeros(5)
        for (a, b), z in zip(pairs, logits, strict=True):
            confidence[[a, b]] += [-z, z]
        ties += np.sum(votes == votes.max()) > 1
        expected = np.where(votes == votes.max(), confidence, -np.inf).argmax()
        assert decode("ovo", logits[None], 5, "weighted", tenths / 10)[0] == [expected]
    assert ties > 10


def test_probabilities_are_the_coupled_ones_for_every_decoder():
    logits = np.random.default_rng(0).normal(size=(7, 10)).astype(np.float32)
    for decoder in DECODERS:
        predicted, probabilities = decode("ovo", logits, 5, decoder, np.full(10, 0.9))
        np.testing.assert_array_equal(probabilities, coupled_probabilities(logits, 5))
        assert predicted.dtype == np.int64
        assert predicted.shape == (7,)


def test_softmax_by_hand():
    predicted, probabilities = decode("softmax", np.log([[1.0, 2.0, 1.0]]), 3)
    np.testing.assert_allclose(probabilities, [[0.25, 0.5, 0.25]])
    assert predicted == [1]


def test_ordinal_by_hand():
    # P(> 0) = 0.8, P(> 1) = 0.5, P(> 2) = 0.2
    logits = np.log([[0.8 / 0.2, 0.5 / 0.5, 0.2 / 0.8]])
    predicted, probabilities = decode("ordinal", logits, 4)
    np.testing.assert_allclose(probabilities, [[0.2, 0.3, 0.3, 0.2]])
    assert decode("ordinal", np.array([[9.0, 9.0, 9.0]]), 4)[0] == [3]
    assert decode("ordinal", np.array([[-9.0, -9.0, -9.0]]), 4)[0] == [0]
    assert predicted[0] in (1, 2)


def test_contradictory_cumulative_probabilities_are_averaged():
    # P(> 0) = 0.4 but P(> 1) = 0.6: both become 0.5.
    _, probabilities = decode("ordinal", np.log([[0.4 / 0.6, 0.6 / 0.4]]), 3)
    np.testing.assert_allclose(probabilities, [[0.5, 0.0, 0.5]], atol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_monotone_is_scikit_learns_isotonic_regression(values):
    found = nonincreasing(np.array([values]))[0]
    expected = IsotonicRegression(increasing=False).fit_transform(np.arange(len(values)), values)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(found.sum(), sum(values), atol=1e-9)


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_ordinal_probabilities_are_probabilities(classes, seed):
    logits = np.random.default_rng(seed).normal(0, 5, (30, classes - 1))
    _, probabilities = decode("ordinal", logits, classes)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ovo", np.zeros((2, 10)), 5, "votes"), "votes.*coupling, weighted, vote"),
        (("ranking", np.zeros((2, 10)), 5), "ranking.*ovo, softmax, ordinal"),
        (("ovo", np.zeros((2, 5)), 5), "gives 10 logits.*\\(2, 5\\)"),
        (("ordinal", np.zeros((2, 5)), 5), "gives 4 logits"),
        (("ovo", np.zeros((2, 10)), 5, "weighted"), "needs the validation accuracy"),
        (("ovo", np.zeros((2, 3)), 3, "weighted", np.array([0.9, np.nan, 1])), "3 accuracies"),
        (("ovo", np.zeros((2, 3)), 3, "weighted", np.array([90.0, 80.0, 70.0])), "between 0 and 1"),
    ],
)
def test_wrong_settings_are_named(arguments, said):
    with pytest.raises(UserError, match=said):
        decode(*arguments)
