"""Simulated predictions have the accuracy, recall and error correlation that they claim."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from dr_ovo.synthetic.simulated_predictions import HARDER, PREVALENCE, Simulation

PATIENTS = 20_000


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation((0.85, 0.75))


@pytest.fixture(scope="module")
def answers(simulation):
    return simulation.draw(PATIENTS, 2, seed=3)


def wrong(answers):
    return [p.predicted != p.targets for p in answers]


def test_accuracy_and_recall_are_the_true_ones(simulation, answers):
    for model, p in enumerate(answers):
        hits = p.predicted == p.targets
        assert hits.mean() == pytest.approx(simulation.accuracies[model], abs=0.008)
        for grade, recall in enumerate(simulation.recalls()[model]):
            assert hits[p.targets == grade].mean() == pytest.approx(recall, abs=0.03)


def test_models_are_wrong_together_as_often_as_said(simulation, answers):
    first, second = wrong(answers)
    assert (first & second).mean() == pytest.approx(simulation.both_wrong(0, 1), abs=0.005)
    assert simulation.both_wrong(0, 1) > 1.5 * 0.15 * 0.25  # far more than by chance


def test_nothing_in_common_means_independent_errors():
    alone = Simulation((0.8, 0.8), by_patient=0.0, by_image=0.0)
    recalls = alone.recalls()
    expected = np.dot(PREVALENCE, (1 - recalls[0]) * (1 - recalls[1]))
    assert alone.both_wrong(0, 1) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("common", [0.05, 0.5, 0.95])
def test_both_wrong_is_the_bivariate_normal_distribution_of_scipy(common):
    simulation = Simulation((0.9, 0.5), by_patient=common, by_image=0.0)
    points = -(simulation.skills - HARDER[:, None])  # (5, 2)
    covariance = [[1.0, common], [common, 1.0]]
    each = [multivariate_normal.cdf(point, cov=covariance) for point in points]
    assert simulation.both_wrong(0, 1) == pytest.approx(np.dot(PREVALENCE, each), abs=1e-7)
    assert np.array_equal(simulation.recalls().T, norm.cdf(-points))


def test_the_eyes_of_a_patient_are_alike(answers):
    p = answers[0]
    left, right = p.targets[0::2], p.targets[1::2]
    assert np.corrcoef(left, right)[0, 1] > 0.5
    first, second = wrong(answers)[0][0::2], wrong(answers)[0][1::2]
    assert (first & second).mean() > 1.3 * first.mean() * second.mean()
    assert (p.patient_ids[0::2] == p.patient_ids[1::2]).all()


def test_the_grades_have_the_prevalence_and_the_answer_is_the_most_probable(answers):
    p = answers[0]
    assert np.bincount(p.targets) / len(p.targets) == pytest.approx(PREVALENCE, abs=0.01)
    assert (p.probabilities.argmax(axis=1) == p.predicted).all()


def test_a_seed_repeats_and_another_does_not(simulation):
    first, again, other = (simulation.draw(50, 2, seed)[0] for seed in (1, 1, 2))
    assert (first.probabilities == again.probabilities).all()
    assert not (first.targets == other.targets).all()
