"""Diversity against values by hand from Kuncheva & Whitaker's definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, matthews_corrcoef

from dr_ovo.decoding.tempering import log_probabilities
from dr_ovo.ensembles.diversity import (
    all_wrong_by_chance,
    overlap_statistics,
    pair_diversity,
    set_diversity,
    without_each,
    wrong_counts,
)
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.weighted_statistics import Statistic
from dr_ovo.synthetic.simulated_predictions import Simulation

TARGETS = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]


def answers(predicted: list[int], targets: list[int] = TARGETS) -> Predictions:
    """Softmax answers that say `predicted`, on images of ten patients."""
    count = len(targets)
    probabilities = np.full((count, 3), 0.2)
    probabilities[np.arange(count), predicted] = 0.6
    ids = np.array([f"{number}.png" for number in range(count)])
    return Predictions(
        head="softmax", decoder="argmax", class_names=np.array(["0", "1", "2"]),
        sample_ids=ids, patient_ids=ids, eyes=np.full(count, ""), quality=np.full(count, np.nan),
        calibration=np.zeros(count, dtype=bool), targets=np.array(targets),
        predicted=np.array(predicted), pairs=np.zeros((0, 2)),
        logits=log_probabilities(probabilities), probabilities=probabilities,
    )  # fmt: skip


def value(statistic: Statistic, weights: np.ndarray | None = None) -> float:
    ones = np.ones((len(TARGETS), 1)) if weights is None else weights[:, None]
    return float(statistic.compute(ones)[0])


# Right on 0-6, and on 0-4 and 7: a = 5, b = 2, c = 1, d = 2.
FIRST = answers([0, 0, 0, 0, 0, 1, 1, 0, 0, 0])
SECOND = answers([0, 0, 0, 0, 0, 0, 2, 1, 0, 0])


def test_pair_by_hand():
    measures = {key: value(statistic) for key, statistic in pair_diversity(FIRST, SECOND).items()}
    assert measures["q"] == pytest.approx((5 * 2 - 2 * 1) / (5 * 2 + 2 * 1))
    assert measures["correlation"] == pytest.approx(8 / np.sqrt(7 * 3 * 6 * 4))
    assert measures["disagreement"] == pytest.approx(0.3)
    assert measures["double_fault"] == pytest.approx(0.2)
    assert measures["kappa"] == pytest.approx(cohen_kappa_score(FIRST.predicted, SECOND.predicted))


def test_weights_are_copies_of_images():
    weights = np.array([1, 2, 0, 1, 3, 1, 1, 0, 2, 1], dtype=np.float32)
    often = np.repeat(np.arange(10), weights.astype(int))
    right = [p.predicted[often] == p.targets[often] for p in (FIRST, SECOND)]
    measures = pair_diversity(FIRST, SECOND)
    expected = matthews_corrcoef(*right)  # the phi coefficient
    assert value(measures["correlation"], weights) == pytest.approx(expected)
    assert value(measures["disagreement"], weights) == pytest.approx((right[0] != right[1]).mean())
    kappa = cohen_kappa_score(FIRST.predicted[often], SECOND.predicted[often])
    assert value(measures["kappa"], weights) == pytest.approx(kappa)


def test_set_by_hand():
    third = answers([0, 1, 0, 0, 0, 0, 1, 1, 0, 1])  # right on 0, 2, 3, 4, 6, 7, 9
    measures = {key: value(s) for key, s in set_diversity([FIRST, SECOND, third]).items()}
    # Right: 3, 2, 3, 3, 3, 1, 2, 2, 0, 1 models; five images are split 2 to 1 or 1 to 2.
    assert measures["entropy"] == pytest.approx(5 / 10)
    assert measures["kohavi_wolpert"] == pytest.approx(5 * 2 / (10 * 9))
    assert measures["all_right"] == pytest.approx(0.4)
    assert measures["any_right"] == pytest.approx(0.9)
    assert wrong_counts([FIRST, SECOND, third], 1) == [0, 2, 2, 1]
    overlap = overlap_statistics([FIRST, SECOND, third], 1)
    assert [value(s) for s in overlap.values()] == pytest.approx([0.0, 0.8, 0.2])
    assert all_wrong_by_chance([FIRST, SECOND, third], 1) == pytest.approx(0.6 * 0.8 * 0.4)
    assert all_wrong_by_chance([FIRST, SECOND], 2) is None


GRADES = st.lists(st.integers(0, 2), min_size=10, max_size=10)


@given(st.lists(GRADES, min_size=2, max_size=9))
def test_variance_is_mean_disagreement(rows):
    """Kuncheva & Whitaker's equation: KW = (L - 1) / 2L of the mean disagreement."""
    members = [answers(row) for row in rows]
    pairs = [
        value(pair_diversity(one, other)["disagreement"])
        for place, one in enumerate(members)
        for other in members[:place]
    ]
    count = len(members)
    variance = value(set_diversity(members)["kohavi_wolpert"])
    assert variance == pytest.approx((count - 1) / (2 * count) * np.mean(pairs))


@given(GRADES, GRADES)
def test_pairs_are_symmetric_and_in_range(one, other):
    first, second = answers(one), answers(other)
    forth, back = pair_diversity(first, second), pair_diversity(second, first)
    for key in forth:
        there = value(forth[key])
        assert there == pytest.approx(value(back[key]), nan_ok=True)
        assert np.isnan(there) or -1 - 1e-9 <= there <= 1 + 1e-9
    one_sided = any(len(set(p.predicted == p.targets)) == 1 for p in (first, second))
    assert np.isnan(value(forth["q"])) == one_sided
    assert np.isnan(value(forth["correlation"])) == one_sided


def test_reasons_of_degenerate_pairs():
    perfect = answers(TARGETS)
    measures = with_intervals(pair_diversity(perfect, FIRST), FIRST.patient_ids)
    assert measures["q"] == {"value": None, "reason": "one of the two is right on every image"}
    assert measures["correlation"]["value"] is None
    wrong = with_intervals(pair_diversity(answers([2] * 10), answers([2] * 10)), FIRST.patient_ids)
    assert wrong["q"]["reason"] == "one of the two is wrong on every image"
    assert wrong["kappa"]["reason"] == "both models give all images one and the same grade"
    assert wrong["double_fault"]["value"] == 1.0
    assert wrong["double_fault"]["low"] < 1.0


def test_simulated_truth_is_found():
    simulation = Simulation((0.84, 0.78, 0.70))
    members = simulation.draw(patients=3000, eyes=2, seed=1)
    measures = with_intervals(
        [
            pair_diversity(members[i], members[j])["double_fault"]
            for i, j in ((0, 1), (0, 2), (1, 2))
        ],
        members[0].patient_ids,
    )
    truths = [simulation.both_wrong(i, j) for i, j in ((0, 1), (0, 2), (1, 2))]
    for metric, truth in zip(measures, truths, strict=True):
        assert metric["value"] == pytest.approx(truth, abs=0.015)
        assert metric["low"] < metric["value"] < metric["high"]


def test_without_each():
    smaller = without_each([FIRST, SECOND])
    np.testing.assert_array_equal(smaller[0].predicted, SECOND.predicted)
    np.testing.assert_allclose(smaller[1].probabilities, FIRST.probabilities)
