"""Paired tests against statsmodels, and their size and power on simulated models."""

import numpy as np
import pytest
from scipy.stats import binomtest, kstest
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from dr_ovo.ensembles.combination import mean_predictions
from dr_ovo.statistics.differences import (
    accuracy_p_value,
    difference,
    holm,
    mcnemar,
    permutation_test,
    unpaired_difference,
)
from dr_ovo.statistics.intervals import Estimate, estimates, replicates
from dr_ovo.statistics.model_statistics import (
    accuracy_statistic,
    kappa_statistic,
    macro_auc_statistic,
    recall_statistic,
)
from dr_ovo.statistics.weighted_statistics import CachedStatistic, Resampled, wilson
from dr_ovo.synthetic.simulated_predictions import Simulation


@pytest.mark.parametrize("seed", range(4))
def test_mcnemar_is_that_of_statsmodels(draw, build, seed):
    first = draw(count=200, seed=seed)
    second = build(first.targets, first.logits + np.random.default_rng(seed).normal(size=(200, 10)))
    a, b = first.predicted == first.targets, second.predicted == second.targets
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert min(table[0][1], table[1][0]) > 0
    assert mcnemar(first, second) == pytest.approx(reference_mcnemar(table, exact=True).pvalue)


@pytest.mark.parametrize("sides", [(0, 1), (1, 0), (0, 9), (7, 7), (7, 8), (30, 12), (400, 350)])
def test_mcnemar_is_the_binomial_test_of_scipy(sides, build):
    only_first, only_second = sides
    targets = np.zeros(sum(sides) + 3, dtype=int)
    first_wrong = np.arange(len(targets)) < only_second
    second_wrong = np.arange(len(targets)) >= len(targets) - only_first
    first, second = (
        build(targets, np.where(wrong, 2.0, -2.0)[:, None], classes=2)
        for wrong in (first_wrong, second_wrong)
    )
    expected = binomtest(only_first, only_first + only_second, 0.5).pvalue
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(first, second) <= 1


def test_mcnemar_where_both_are_right_on_the_same_images(draw):
    assert mcnemar(draw(), draw()) == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_that_of_statsmodels(seed):
    random = np.random.default_rng(seed)
    values = random.random(seed + 1) ** 4
    values[random.random(seed + 1) < 0.3] = values[0]  # ties
    np.testing.assert_allclose(holm(values), multipletests(values, method="holm")[1], atol=1e-12)


def test_holm_by_hand_and_without_what_is_undefined():
    assert holm([0.01, float("nan"), 0.04, 0.03])[::2] == pytest.approx([0.03, 0.06])
    assert np.isnan(holm([0.01, float("nan")])[1])
    assert holm([0.01, float("nan")])[0] == 0.01  # what is undefined does not count
    assert holm([]) == []


def drawn_pairs(accuracies, patients, draws, eyes=2):
    return [Simulation(accuracies).draw(patients, eyes, seed) for seed in range(draws)]


@pytest.mark.parametrize(
    ("metric", "side"),
    # Equal accuracies (p = 1) are common, so that its p values may be too large, never too small.
    [(accuracy_statistic, "greater"), (kappa_statistic, "two-sided")],
)
def test_the_permutation_test_is_uniform_where_models_are_alike(metric, side):
    p = [permutation_test(metric, *pair, 200) for pair in drawn_pairs((0.8, 0.8), 100, 150)]
    assert kstest(p, "uniform", alternative=side).pvalue > 0.01
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.10  # 0.05 +- 2.8 standard errors


@pytest.mark.parametrize("metric", [accuracy_statistic, kappa_statistic, macro_auc_statistic])
def test_the_permutation_test_finds_a_difference_that_is_there(metric):
    p = [permutation_test(metric, *pair, 200) for pair in drawn_pairs((0.85, 0.7), 200, 10)]
    assert np.mean(np.array(p) < 0.05) >= 0.9


def test_eyes_that_err_together_count_once(build):
    # Every patient has two eyes alike: 8 patients decide, not 16 images.
    targets = np.repeat(np.arange(40) % 2, 2)
    right = np.where(targets == 1, 2.0, -2.0)
    wrong = np.where(np.repeat(np.arange(40) < 8, 2), -right, right)
    first, second = (build(targets, logits[:, None], 2, classes=2) for logits in (right, wrong))
    by_patient = accuracy_p_value(first, second)
    assert by_patient == pytest.approx(2 / 2**8, abs=0.006)
    assert mcnemar(first, second) == pytest.approx(2 / 2**16)


def test_accuracy_of_single_eyes_is_tested_by_mcnemar(draw):
    first, second = draw(count=60, seed=1), draw(count=60, seed=1, strength=0.4)
    assert accuracy_p_value(first, second) == mcnemar(first, second)


def test_a_permutation_test_agrees_with_mcnemar_where_both_hold(draw, build):
    first = draw(count=300, seed=3)
    noise = np.random.default_rng(9).normal(size=(300, 10))
    second = build(first.targets, first.logits + noise)
    found = permutation_test(accuracy_statistic, first, second, 4000)
    assert found == pytest.approx(mcnemar(first, second), abs=0.03)


def test_an_undefined_metric_has_no_p_value(build):
    grades = np.zeros(10, dtype=int)
    p = build(grades, np.random.default_rng(0).normal(size=(10, 10)))
    assert np.isnan(permutation_test(lambda q: recall_statistic(q, 3), p, p))
    assert np.isnan(permutation_test(macro_auc_statistic, p, p))


def test_the_smallest_p_value_is_never_zero(build):
    targets = np.arange(100) % 5
    sure = np.eye(5)[targets] * 8
    best = build(targets, sure, head="softmax")
    worst = build(targets, -sure, head="softmax")
    assert permutation_test(accuracy_statistic, best, worst, 199) == pytest.approx(1 / 200)


def test_a_difference_is_resampled_as_a_pair(draw):
    first, second = draw(count=200, seed=1), draw(count=200, seed=1, strength=0.7)
    gap = difference(kappa_statistic, first, second)
    singles = replicates([kappa_statistic(first), kappa_statistic(second)], first.patient_ids, 300)
    together = replicates([gap], first.patient_ids, 300)[0]
    np.testing.assert_allclose(together, singles[0] - singles[1], atol=1e-12)
    found = estimates([gap], first.patient_ids)[0]
    ones = np.ones((200, 1))
    expected = kappa_statistic(first).compute(ones)[0] - kappa_statistic(second).compute(ones)[0]
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high


def test_pairing_narrows_the_interval_of_models_that_err_together():
    first, second = Simulation((0.8, 0.78), 0.45, 0.45).draw(200, 2, 5)
    paired = estimates([difference(accuracy_statistic, first, second)], first.patient_ids)[0]
    alone = [estimates([accuracy_statistic(p)], p.patient_ids)[0] for p in (first, second)]
    unpaired = np.hypot(*(one.high - one.low for one in alone))
    assert paired.high - paired.low < 0.7 * unpaired


def test_the_interval_of_a_difference_covers_the_truth():
    covered = 0
    for first, second in drawn_pairs((0.82, 0.76), 100, 80):
        found = estimates([difference(accuracy_statistic, first, second)], first.patient_ids, 400)[
            0
        ]
        covered += found.low <= 0.06 <= found.high
    assert 70 <= covered <= 80  # 76 expected, 2 the standard deviation


def test_no_spread_gives_no_interval_but_a_reason(draw):
    found = estimates([difference(kappa_statistic, draw(), draw())], draw().patient_ids)[0]
    assert (found.value, found.low) == (0.0, None)
    assert "no spread" in found.reason


def test_what_is_remembered_is_computed_once_for_the_same_weights(draw):
    p, times = draw(count=50), []
    accuracy = accuracy_statistic(p)
    counting = Resampled("none", lambda weights: times.append(1) or accuracy.compute(weights))
    cached = CachedStatistic("none", counting)
    first, other = np.ones((50, 2)), np.random.default_rng(0).integers(1, 3, size=(50, 2)) * 1.0
    for weights in (first, first, other, first):
        np.testing.assert_array_equal(cached.compute(weights), accuracy.compute(weights))
    assert len(times) == 3
    cached_accuracy = CachedStatistic(accuracy.undefined, accuracy)
    assert estimates([cached_accuracy], p.patient_ids) == estimates([accuracy], p.patient_ids)


def test_models_with_other_heads_are_compared(draw):
    # Ten pair logits beside five log probabilities.
    first = draw(count=100)
    second = mean_predictions([draw(count=100)])
    assert first.logits.shape[1] != second.logits.shape[1]
    assert permutation_test(accuracy_statistic, first, second) == 1.0


def test_an_unpaired_difference_has_the_interval_that_was_published():
    """Newcombe, Statistics in Medicine 17 (1998) 873, method 10: 56 of 70 against 48 of 80."""
    one, other = (Estimate(hits / n, *wilson(hits, n)) for hits, n in ((56, 70), (48, 80)))
    found = unpaired_difference(one, other)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    nothing = unpaired_difference(one, Estimate(None, reason="too few"))
    assert (nothing.value, nothing.reason) == (None, "one of the two has no value or no interval")
