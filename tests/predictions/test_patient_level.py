"""Figures per patient, by the worse eye, against values by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.patient_level import patient_counts, per_patient
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.results.evaluation_file import patient_report
from dr_ovo.statistics.weighted_statistics import wilson


@pytest.fixture
def three_patients(build) -> Predictions:
    """b has two eyes, a two, c one; in no order."""
    probabilities = np.array(
        [
            [0.7, 0.1, 0.1, 0.1, 0.0],  # b
            [0.1, 0.2, 0.3, 0.2, 0.2],  # a
            [0.2, 0.5, 0.1, 0.1, 0.1],  # b
            [0.0, 0.0, 0.1, 0.8, 0.1],  # c
            [0.2, 0.1, 0.0, 0.2, 0.5],  # a
        ]
    )
    return build(
        np.array([0, 2, 1, 3, 2]),
        np.log(probabilities + 1e-9),
        head="softmax",
        patient_ids=["b", "a", "b", "c", "a"],
        predicted=[0, 2, 1, 3, 4],
        probabilities=probabilities,
        quality=[0.5, 0.9, 0.3, np.nan, 0.8],
        eyes=["left", "left", "right", "left", "right"],
    )


def test_the_worse_eye_by_hand(three_patients):
    worst = per_patient(three_patients)
    assert worst.patient_ids.tolist() == ["a", "b", "c"]
    assert worst.targets.tolist() == [2, 1, 3]
    assert worst.predicted.tolist() == [4, 1, 3]
    assert worst.quality == pytest.approx([0.8, 0.3, np.nan], nan_ok=True)
    # At least grade 1..4: a max(.9 .7 .4 .2, .8 .7 .7 .5); b max(.3 .2 .1 0, .8 .3 .2 .1).
    assert worst.probabilities == pytest.approx(
        np.array(
            [
                [0.1, 0.2, 0.0, 0.2, 0.5],
                [0.2, 0.5, 0.1, 0.1, 0.1],
                [0.0, 0.0, 0.1, 0.8, 0.1],
            ]
        ),
        abs=1e-6,
    )


def test_the_block_by_hand(three_patients, draw):
    found = patient_report(three_patients, fit_calibration(draw(200), []))
    assert (found["n_patients"], found["n_single_image"]) == (3, 1)
    assert found["accuracy"]["value"] == pytest.approx(2 / 3)
    assert (found["accuracy"]["low"], found["accuracy"]["high"]) == wilson(2, 3)
    argmax = found["referable"]["argmax"]  # a and c are referable and called; b is neither
    assert (argmax["sensitivity"]["value"], argmax["specificity"]["value"]) == (1, 1)
    assert (argmax["sensitivity"]["low"], argmax["sensitivity"]["high"]) == wilson(2, 2)
    assert found["balanced_accuracy"]["value"] is None  # no patient of grades 0 and 4


def test_figures_are_those_of_scikit_learn_on_the_worse_eyes(draw):
    p = draw(300, eyes_per_patient=2)
    targets, predicted = (v.reshape(-1, 2).max(axis=1) for v in (p.targets, p.predicted))
    found = patient_report(p, fit_calibration(p, []))
    assert found["n_patients"] == 150
    assert found["n_single_image"] == 0
    assert found["accuracy"]["value"] == pytest.approx((targets == predicted).mean())
    kappa = cohen_kappa_score(targets, predicted, weights="quadratic")
    assert found["quadratic_kappa"]["value"] == pytest.approx(kappa)
    assert found["quadratic_kappa"]["low"] < kappa < found["quadratic_kappa"]["high"]
    expected = balanced_accuracy_score(targets, predicted)
    assert found["balanced_accuracy"]["value"] == pytest.approx(expected)


def test_a_patient_is_called_where_one_of_the_images_is(draw):
    p = draw(300, eyes_per_patient=3)
    worst = per_patient(p)
    order = [int(name[1:]) for name in worst.patient_ids]
    for grade in (1, 2, 3, 4):
        single = p.probabilities[:, grade:].sum(axis=1).reshape(-1, 3)[order]
        both = worst.probabilities[:, grade:].sum(axis=1)
        assert both == pytest.approx(single.max(axis=1))


def test_where_no_patient_has_two_images_it_says_so(draw):
    found = patient_report(draw(60), fit_calibration(draw(60), []))
    assert found["value"] is None
    assert "no patient has two images" in found["reason"]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_counts_of_patients(numbers):
    counts = patient_counts(np.array([f"p{number}" for number in numbers]))
    singles = sum(numbers.count(number) == 1 for number in set(numbers))
    if singles == len(numbers):
        assert counts["value"] is None
    else:
        assert counts == {"n_patients": len(set(numbers)), "n_single_image": singles}
