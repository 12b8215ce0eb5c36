"""Ensembles fitted on val: no image is combined by weights that it helped to choose."""

from dataclasses import replace

import numpy as np
import pytest

from dr_ovo.ensembles.cross_fitting import FOLDS, cross_fitted, fit_ensemble, patient_folds
from dr_ovo.ensembles.weights import MemberPredictions, weigher
from dr_ovo.predictions.calibration import calibration_share


@pytest.fixture
def members(draw):
    """Three models of different strength on 400 images of 200 patients, a share for calibration."""
    drawn = [
        draw(400, eyes_per_patient=2, seed=seed, strength=strength)
        for seed, strength in enumerate((1.0, 0.6, 0.2))
    ]
    first = drawn[0]
    share = calibration_share(first.sample_ids, first.patient_ids, first.targets)
    assert 0 < share.sum() < 400
    alike = {"targets": first.targets, "calibration": share}
    # Drawn with other seeds, the same strength of evidence speaks for other targets.
    order = np.argsort(first.targets, kind="stable")
    found = []
    for one in drawn:
        rows = np.empty(400, dtype=int)
        rows[order] = np.argsort(one.targets, kind="stable")
        answers = {k: getattr(one, k)[rows] for k in ("logits", "probabilities", "predicted")}
        found.append(replace(one, **answers, **alike))
    return found


def test_folds_part_patients_and_deal_out_every_grade():
    random = np.random.default_rng(0)
    patients = np.repeat([f"p{number}" for number in range(150)], 2)
    targets = random.integers(5, size=300)
    folds = patient_folds(patients, targets)
    assert all(len(set(folds[patients == patient])) == 1 for patient in np.unique(patients))
    worst = np.maximum(targets[::2], targets[1::2])
    for grade in range(5):
        counts = np.bincount(folds[::2][worst == grade], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(folds[::-1], patient_folds(patients[::-1], targets[::-1]))


@pytest.mark.parametrize("method", ["weighted", "greedy"])
def test_each_fold_is_combined_by_the_weights_of_the_others(method, members):
    answers = MemberPredictions.of(members)
    grades, probabilities, fold_weights = cross_fitted(answers, method, "kappa")
    folds = patient_folds(answers.patients, answers.targets)
    for fold in range(FOLDS):
        own = folds == fold
        weights = weigher(method, "kappa")(answers.samples(~own))
        np.testing.assert_allclose(fold_weights[fold], weights)
        expected = answers.samples(own).combined(method, weights)
        np.testing.assert_array_equal(grades[own], expected[0])
        np.testing.assert_allclose(probabilities[own], expected[1])


def test_weights_come_from_the_selection_share_alone(members):
    share = members[0].calibration
    other = np.where(share, (members[0].targets + 1) % 5, members[0].targets)
    changed = [replace(member, targets=other) for member in members]
    for method in ("weighted", "greedy"):
        first, again = fit_ensemble(members, method), fit_ensemble(changed, method)
        np.testing.assert_array_equal(first.weights, again.weights)
        np.testing.assert_array_equal(first.val.probabilities, again.val.probabilities)
        assert first.calibration.temperature != again.calibration.temperature


def test_temperature_and_thresholds_come_from_the_calibration_share(members):
    fitted = fit_ensemble(members, "greedy")
    share = members[0].calibration
    assert (fitted.calibration.n, fitted.calibration.divided) == (int(share.sum()), True)
    _, expected = MemberPredictions.of(members).combined("greedy", fitted.weights)
    np.testing.assert_allclose(fitted.val.probabilities[share], expected[share])
    assert "cross-fitted in 5 patient folds" in fitted.note


def test_test_is_combined_by_the_weights_of_the_whole_selection_share(members):
    fitted = fit_ensemble(members, "weighted")
    selection = MemberPredictions.of(members).samples(~members[0].calibration)
    expected = weigher("weighted", "accuracy")(selection)
    np.testing.assert_allclose(fitted.weights, expected)
    found = fitted.on(members).probabilities
    np.testing.assert_allclose(
        found, np.tensordot(expected, [m.probabilities for m in members], axes=1)
    )


def test_mean_and_vote_have_nothing_to_cross_fit(members):
    for method in ("mean", "vote"):
        fitted = fit_ensemble(members, method)
        assert fitted.fold_weights.shape == (0, 3)
        assert "no weights to cross-fit" in fitted.note
        np.testing.assert_array_equal(fitted.val.predicted, fitted.on(members).predicted)


def test_a_val_too_small_for_folds_is_said_to_flatter(draw):
    small = [draw(20, seed=1), draw(20, seed=1, strength=0.5)]
    fitted = fit_ensemble(small, "greedy")
    assert fitted.fold_weights.shape == (0, 2)
    assert "20 patients" in fitted.note
    assert "too good" in fitted.note
    assert not fitted.calibration.divided


def test_a_grade_too_rare_for_every_fold_is_named(draw):
    one = draw(60, seed=1)
    targets = np.where(one.targets == 3, 2, one.targets)
    targets[:3] = 3
    fitted = fit_ensemble([replace(one, targets=targets)] * 2, "weighted")
    assert fitted.note.endswith("Too few patients for every fold to have one: grade 3 (3).")


def test_what_is_out_of_fold_is_said_to_be(members):
    fitted = fit_ensemble(members, "greedy", out_of_fold=True)
    assert fitted.calibration.out_of_fold
    assert "patients of train and val, out of fold" in fitted.note
    assert not fit_ensemble(members, "greedy").calibration.out_of_fold
