"""Several models as one."""

from dataclasses import replace

import numpy as np
import pytest

from dr_ovo.ensembles.combination import combine, ensemble_predictions, mean_predictions
from dr_ovo.errors import UserError
from dr_ovo.predictions.predictions_file import load_predictions, save_predictions


def test_the_mean_of_two_models_by_hand(tmp_path, build):
    ids = np.array([0, 1])
    first = build(ids, np.log([[0.9, 0.1], [0.9, 0.1]]), head="softmax", classes=2)
    second = build(ids, np.log([[0.5], [7.0 / 3]]), head="ovo", classes=2)  # 1/3 and 7/10 for 1
    mean = mean_predictions([first, second])
    expected = [[(0.9 + 2 / 3) / 2, (0.1 + 1 / 3) / 2], [0.6, 0.4]]
    np.testing.assert_allclose(mean.probabilities, expected, atol=1e-8)
    np.testing.assert_array_equal(mean.predicted, [0, 0])
    np.testing.assert_allclose(np.exp(mean.logits), expected, atol=1e-8)
    assert (mean.head, mean.pairs.shape) == ("ensemble", (0, 2))
    save_predictions(tmp_path / "p.npz", mean)
    assert load_predictions(tmp_path / "p.npz").head == "ensemble"


def test_other_samples_labels_or_classes_are_refused(draw):
    first = draw()
    for name, value in {
        "sample_ids": first.sample_ids[::-1],
        "targets": first.targets[::-1],
        "class_names": list("abcde"),
    }.items():
        with pytest.raises(UserError, match=f"differ in their {name.replace('_', ' ')}"):
            mean_predictions([first, replace(first, **{name: value})])
    with pytest.raises(UserError, match="no predictions"):
        mean_predictions([])


def one_hot_like(grades, sure, classes=5):
    """(M, N, C) probabilities: `sure` (M,) for each member's grade, the rest shared evenly."""
    grades, sure = np.asarray(grades), np.asarray(sure)[:, None, None]
    own = grades[:, :, None] == np.arange(classes)
    return np.where(own, sure, (1 - sure) / (classes - 1))


def test_the_weighted_mean_by_hand():
    probabilities = np.array([[[0.9, 0.1]], [[0.2, 0.8]]])
    grades, mean = combine("weighted", np.array([[0], [1]]), probabilities, np.array([0.25, 0.75]))
    np.testing.assert_allclose(mean, [[0.375, 0.625]])
    assert grades.tolist() == [1]


def test_the_majority_wins_against_a_surer_minority():
    members = np.array([[1], [1], [3]])
    probabilities = one_hot_like(members, [0.4, 0.4, 0.99])
    grades, mean = combine("vote", members, probabilities, np.full(3, 1 / 3))
    assert grades.tolist() == [1]
    assert mean.argmax(axis=1).tolist() == [3]
    np.testing.assert_allclose(mean, probabilities.mean(axis=0))


@pytest.mark.parametrize("turn", range(5))
def test_tied_votes_go_to_the_summed_probability_whatever_the_labels(turn):
    """Two for one grade, two surer ones for another, one for a third: each label wins once."""
    members = (np.array([[0], [0], [2], [2], [3]]) + turn) % 5
    probabilities = one_hot_like(members, [0.5, 0.5, 0.7, 0.7, 0.99])
    grades, _ = combine("vote", members, probabilities, np.full(5, 0.2))
    assert grades.tolist() == [(2 + turn) % 5]


def test_the_mean_is_the_ensemble_of_equal_weights(draw):
    members = [draw(strength=strength) for strength in (0.5, 1.0, 2.0)]
    equal = ensemble_predictions(members, "mean", np.full(3, 1 / 3))
    np.testing.assert_allclose(mean_predictions(members).probabilities, equal.probabilities)
    assert (equal.head, equal.decoder) == ("ensemble", "mean")
