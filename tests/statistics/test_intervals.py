"""Intervals against formulas, independent implementations and explicit resampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from dr_ovo.predictions.auc import delong_variance
from dr_ovo.predictions.metrics import f1_of, kappa_of, quadratic_kappa, weighted_confusions
from dr_ovo.statistics.intervals import (
    each_with_intervals,
    estimates,
    patients_repeat,
    replicates,
    with_intervals,
)
from dr_ovo.statistics.weighted_statistics import Auc, Proportion, Resampled, mean_of, wilson


def alone(count):
    """Patients with one image each."""
    return np.array([f"p{index}" for index in range(count)])


def in_twos(count):
    """Patients with two images each, the last with one where the count is odd."""
    return np.array([f"p{index // 2}" for index in range(count)])


def share(hits):
    hits = np.array(hits, dtype=bool)
    return Proportion("none", hits, np.ones(len(hits), dtype=bool))


def kappa(targets, predicted):
    return Resampled("one", lambda w: kappa_of(weighted_confusions(targets, predicted, 5, w)))


def graded(seed, count=200):
    random = np.random.default_rng(seed)
    targets = random.integers(5, size=count)
    return targets, np.clip(targets + random.integers(-1, 2, size=count), 0, 4)


def test_wilson_golden_values():
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
    expected = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (hits, trials), interval in expected.items():
        np.testing.assert_allclose(wilson(hits, trials), interval, atol=5e-5)


@given(st.integers(1, 10**6), st.data())
def test_wilson_is_that_of_scipy(trials, data):
    hits = data.draw(st.integers(0, trials))
    expected = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(wilson(hits, trials), expected, rtol=1e-9, atol=1e-15)


@given(st.integers(0, 2**32 - 1), st.integers(2, 15), st.integers(2, 15), st.integers(2, 20))
def test_delong_is_the_definition_over_all_comparisons(seed, m, n, levels):
    random = np.random.default_rng(seed)
    positive, negative = random.integers(levels, size=m), random.integers(levels, size=n)
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)  # (m, n)
    expected = wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n
    assert delong_variance(positive, negative) == pytest.approx(expected, abs=1e-12)


def test_patients_alone_get_wilson_and_delong():
    random = np.random.default_rng(1)
    positive, scores = np.arange(40) < 15, random.normal(size=40) + (np.arange(40) < 15)
    accuracy, auc = estimates(
        [share(np.arange(40) < 30), Auc("one side", positive, ~positive, scores)], alone(40)
    )
    assert (accuracy.low, accuracy.high) == wilson(30, 40)
    assert auc.value == pytest.approx(roc_auc_score(positive, scores))
    reach = 1.959964 * delong_variance(scores[positive], scores[~positive]) ** 0.5
    assert auc.low == pytest.approx(auc.value - reach)
    assert auc.high == pytest.approx(min(auc.value + reach, 1))


def test_a_replicate_is_the_metric_of_the_drawn_samples():
    targets, predicted = graded(0, 30)
    sizes = [1, 2, 3, 4, 5, 1, 1, 6, 4, 3]  # images of each patient
    patients = np.repeat([f"p{index}" for index in range(10)], sizes)
    drawn = []
    spy = Resampled("", lambda weights: drawn.extend(weights.T) or np.zeros(weights.shape[1]))
    found, _ = replicates([kappa(targets, predicted), spy], patients, 70)
    assert len(drawn) == 70
    for value, times in zip(found, np.array(drawn).astype(int), strict=True):
        of_patient = times[np.cumsum(sizes) - 1]
        np.testing.assert_array_equal(times, np.repeat(of_patient, sizes))  # eyes go together
        assert of_patient.sum() == 10
        expected = quadratic_kappa(np.repeat(targets, times), np.repeat(predicted, times), 5)
        assert value == pytest.approx(expected, abs=1e-6)


def test_the_same_image_twice_adds_nothing():
    targets, predicted = graded(2)
    once = estimates([kappa(targets, predicted)], alone(200))[0]
    statistic = kappa(np.repeat(targets, 2), np.repeat(predicted, 2))
    twice = estimates([statistic], in_twos(400))[0]
    as_if_alone = estimates([statistic], alone(400))[0]
    assert twice.value == pytest.approx(once.value)
    assert twice.high - twice.low == pytest.approx(once.high - once.low, rel=0.1)
    ratio = (twice.high - twice.low) / (as_if_alone.high - as_if_alone.low)
    assert ratio == pytest.approx(2**0.5, rel=0.1)


def test_repeating_patients_are_resampled_for_proportions_and_aucs_too():
    hits = np.repeat(np.arange(100) < 80, 2)  # both eyes right or both wrong
    scores = np.repeat(np.random.default_rng(0).normal(size=100), 2) + hits
    bootstrap, auc = estimates([share(hits), Auc("", hits, ~hits, scores)], in_twos(200))
    low, high = wilson(80, 100)  # not 160 of 200
    assert bootstrap.high - bootstrap.low == pytest.approx(high - low, rel=0.1)
    by_images = Auc("", hits, ~hits, scores).closed_interval()
    assert auc.high - auc.low > 1.25 * (by_images[1] - by_images[0])


def test_a_proportion_without_spread_becomes_wilson_on_patients():
    perfect, none = estimates([share(np.ones(40)), share(np.zeros(40))], in_twos(40))
    assert (perfect.value, perfect.low, perfect.high) == (1.0, *wilson(20, 20))
    assert (none.value, none.low, none.high) == (0.0, *wilson(0, 20))


@pytest.mark.parametrize("patients", [alone(20), in_twos(20)])
def test_a_perfect_auc_has_a_value_and_no_interval(patients):
    positive = np.arange(20) >= 10
    scores = np.arange(20.0)
    up, down = estimates(
        [Auc("", positive, ~positive, scores), Auc("", positive, ~positive, -scores)], patients
    )
    assert (up.value, down.value) == (1.0, 0.0)
    for estimate in (up, down):
        written = estimate.to_json()
        assert written["low"] is None
        assert written["high"] is None
        assert "exactly 0 or 1" in written["reason"]


def test_a_perfect_kappa_claims_no_certainty():
    targets, _ = graded(0)
    found = estimates([kappa(targets, targets)], alone(200))[0]
    assert (found.value, found.low, found.high) == (1.0, None, None)
    assert "no spread" in found.reason


def test_one_positive_image_gives_no_interval():
    positive = np.arange(20) == 10
    found = estimates([Auc("", positive, ~positive, np.arange(20.0))], alone(20))[0]
    assert found.value == pytest.approx(10 / 19)
    assert found.low is None
    assert "single image" in found.reason


@pytest.mark.parametrize("patients", [alone(20), in_twos(20)])
def test_what_is_undefined_has_its_reason(patients):
    nobody = np.zeros(20, dtype=bool)
    statistics = [
        Proportion("no image of grade 3", nobody, nobody),
        Auc("no image of grade 3", nobody, ~nobody, np.arange(20.0)),
        mean_of([Proportion("", ~nobody, ~nobody), Proportion("", nobody, nobody)], "no grade 3"),
    ]
    written = [estimate.to_json() for estimate in estimates(statistics, patients)]
    assert written[0] == {"value": None, "reason": "no image of grade 3"}
    assert written[1] == written[0]
    assert written[2] == {"value": None, "reason": "no grade 3"}


def test_resamples_without_a_rare_grade_are_left_out():
    targets = np.array([4, 4] + [0] * 98)
    predicted = np.where(np.arange(100) % 3 == 0, targets, 4 - targets)

    def f1(weights):
        return f1_of(weighted_confusions(targets, predicted, 5, weights), 4)

    row = replicates([Resampled("", f1)], alone(100), 2000)[0]
    assert np.isnan(row).mean() == pytest.approx(0.98**100, abs=0.03)
    found = estimates([Resampled("", f1)], alone(100))[0]
    assert (found.low, found.high) == pytest.approx(np.nanquantile(row, [0.025, 0.975]))


def test_an_interval_above_its_value_is_widened_to_hold_it():
    # Like a calibration error: twenty bins without any gap, and every resample shows some.
    gaps = np.repeat(np.eye(20), 10, axis=1) * np.tile([1, -1], 100)
    error = Resampled("", lambda w: np.abs(gaps @ w).sum(axis=0) / w.sum(axis=0))
    assert (replicates([error], alone(200), 500) > 0).all()
    found = estimates([error], alone(200))[0]
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high > 0


def test_intervals_are_repeatable_and_keep_the_tree():
    targets, predicted = graded(5)
    tree = {"a": [{"kappa": kappa(targets, predicted), "n": 3}], "b": share(targets == predicted)}
    first, second = (with_intervals(tree, alone(200)) for _ in range(2))
    assert first == second
    assert first["a"][0]["n"] == 3
    assert first["a"][0]["kappa"]["value"] == pytest.approx(quadratic_kappa(targets, predicted, 5))
    assert first["b"]["value"] == pytest.approx(np.mean(targets == predicted))


def test_patients_repeat():
    assert patients_repeat(np.array(["a", "b", "a"]))
    assert not patients_repeat(np.array(["a", "b"]))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_trees_on_all_cores_have_the_intervals_that_they_have_alone(count):
    patients = in_twos(60)
    random = np.random.default_rng(1)
    trees = [{"share": share(random.random(60) < 0.5), "number": n} for n in range(count)]
    expected = [with_intervals(tree, patients) for tree in trees]
    assert each_with_intervals(trees, patients) == expected
