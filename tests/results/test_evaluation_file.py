"""evaluation.json: its shape, its figures against scikit-learn, and its nulls."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as reference

from dr_ovo.decoding.tempering import temper
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.metrics import expected_calibration_error
from dr_ovo.predictions.operating_points import OperatingPoint, OperatingPoints
from dr_ovo.results.evaluation_file import evaluation_report

METRIC = {"value", "low", "high"}


def report_of(predictions, split="test"):
    report = evaluation_report(predictions, fit_calibration(predictions, []), split)
    return json.loads(json.dumps(report, allow_nan=False))


def metrics_in(node):
    """Every dict with a value in a tree."""
    if isinstance(node, dict) and "value" in node:
        yield node
    elif isinstance(node, (dict, list)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from metrics_in(child)


@pytest.fixture(scope="module")
def retina_report(retina):
    return report_of(retina)


def test_the_shape(retina_report):
    report = retina_report
    assert (report["schema"], report["split"], report["head"]) == (1, "test", "softmax")
    assert (report["n"], report["n_patients"], report["intervals"]) == (400, 400, "image")
    for name in ("accuracy", "balanced_accuracy", "quadratic_kappa", "macro_auc"):
        assert set(report[name]) == METRIC
    own = {"grade", "n", "recall", "precision", "specificity", "f1", "auc"}
    assert all(set(row) == own for row in report["per_class"])
    assert [row["pair"] for row in report["pairs"]][:5] == [[0, 1], [0, 2], [0, 3], [0, 4], [1, 2]]
    assert all(set(row) == {"pair", "n", "accuracy", "auc"} for row in report["pairs"])
    for condition in ("referable", "vision_threatening"):
        block = report[condition]
        assert set(block) == {"auc", "argmax", "high_sensitivity", "high_specificity"}
        assert set(block["argmax"]) == {"sensitivity", "specificity"}
        assert set(block["high_sensitivity"]) == {"threshold", "sensitivity", "specificity"}
    assert set(report["calibration"]) >= {"raw", "tempered"}
    assert set(report["calibration"]["raw"]) == {"ece", "brier"}


def test_real_figures_against_scikit_learn(retina, retina_report):
    targets, predicted, probabilities = retina.targets, retina.predicted, retina.probabilities
    report = retina_report
    np.testing.assert_array_equal(
        report["confusion"], reference.confusion_matrix(targets, predicted)
    )
    expected = {
        "accuracy": reference.accuracy_score(targets, predicted),
        "balanced_accuracy": reference.balanced_accuracy_score(targets, predicted),
        "quadratic_kappa": reference.cohen_kappa_score(targets, predicted, weights="quadratic"),
        "macro_auc": reference.roc_auc_score(targets, probabilities, multi_class="ovr"),
    }
    for name, value in expected.items():
        assert report[name]["value"] == pytest.approx(value)
    precision, recall, f1, support = reference.precision_recall_fscore_support(targets, predicted)
    for row in report["per_class"]:
        grade = row["grade"]
        assert row["n"] == support[grade]
        assert row["recall"]["value"] == pytest.approx(recall[grade])
        assert row["precision"]["value"] == pytest.approx(precision[grade])
        assert row["f1"]["value"] == pytest.approx(f1[grade])
        specificity = np.mean(predicted[targets != grade] != grade)
        assert row["specificity"]["value"] == pytest.approx(specificity)
        auc = reference.roc_auc_score(targets == grade, probabilities[:, grade])
        assert row["auc"]["value"] == pytest.approx(auc)
    referable = report["referable"]
    auc = reference.roc_auc_score(targets >= 2, probabilities[:, 2:].sum(axis=1))
    assert referable["auc"]["value"] == pytest.approx(auc)
    sensitivity = reference.recall_score(targets >= 2, predicted >= 2)
    assert referable["argmax"]["sensitivity"]["value"] == pytest.approx(sensitivity)


def test_real_pairs_against_scikit_learn(retina, retina_report):
    for row in retina_report["pairs"]:
        a, b = row["pair"]
        own = np.isin(retina.targets, [a, b])
        margin = retina.logits[own, b] - retina.logits[own, a]
        positive = retina.targets[own] == b
        assert row["n"] == own.sum()
        assert row["accuracy"]["value"] == pytest.approx(np.mean((margin > 0) == positive))
        assert row["auc"]["value"] == pytest.approx(reference.roc_auc_score(positive, margin))


def test_every_interval_holds_its_value(retina_report, draw):
    for report in (retina_report, report_of(draw(eyes_per_patient=2))):
        found = list(metrics_in(report))
        assert len(found) > 60
        for metric in found:
            if metric.get("low") is not None:
                assert metric["low"] <= metric["value"] <= metric["high"]
                assert metric["low"] < metric["high"]


def test_the_thresholds_are_those_of_val_on_raw_probabilities(draw):
    val, test = draw(seed=1), draw(seed=2)
    fitted = fit_calibration(val, [])
    frozen = OperatingPoints(OperatingPoint(0.3), OperatingPoint(None, "no such image"))
    report = evaluation_report(test, replace(fitted, referable=frozen), "test")["referable"]
    called = test.probabilities[:, 2:].sum(axis=1) >= 0.3
    found = report["high_sensitivity"]
    assert found["threshold"] == 0.3
    assert found["sensitivity"]["value"] == pytest.approx(called[test.targets >= 2].mean())
    assert found["specificity"]["value"] == pytest.approx((~called)[test.targets < 2].mean())
    assert report["high_specificity"]["sensitivity"] == {
        "value": None,
        "reason": "no threshold from val: no such image",
    }


def test_tempering_changes_the_calibration_alone(draw):
    predictions = draw(300, strength=2.0)
    fitted = fit_calibration(predictions, [])
    cold = evaluation_report(predictions, fitted, "val")
    unfitted = evaluation_report(predictions, replace(fitted, temperature=1.0), "val")
    errors = cold["calibration"]
    tempered = temper(predictions.probabilities, fitted.temperature)
    expected = expected_calibration_error(predictions.targets, tempered)
    assert errors["tempered"]["ece"]["value"] == pytest.approx(expected)
    assert errors["tempered"]["ece"]["value"] < errors["raw"]["ece"]["value"]
    assert errors["temperature"] == fitted.temperature
    assert {**cold, "calibration": 0} == {**unfitted, "calibration": 0}


def test_grades_are_the_decoders_not_the_argmax(draw):
    predictions = draw()
    other = replace(predictions, predicted=(predictions.targets + 1) % 5)
    report = report_of(other)
    assert report["accuracy"]["value"] == 0
    assert report["referable"]["argmax"]["sensitivity"]["value"] == pytest.approx(2 / 3)
    assert report["macro_auc"] == report_of(predictions)["macro_auc"]


def test_two_eyes_widen_the_intervals(draw):
    single = draw(200)
    double = replace(
        single,
        sample_ids=[f"{patient}_{eye}" for patient in range(100) for eye in "lr"],
        patient_ids=np.repeat(np.arange(100), 2).astype(str),
    )
    report = report_of(double)
    assert (report["n"], report["n_patients"]) == (200, 100)
    assert report["intervals"] == "patient bootstrap"
    assert report["accuracy"]["value"] == report_of(single)["accuracy"]["value"]


@pytest.mark.parametrize("eyes", [1, 2])
def test_an_empty_grade_gives_nulls_with_reasons(draw, eyes):
    predictions = draw(100, eyes_per_patient=eyes)
    targets = np.where(predictions.targets == 3, 4, predictions.targets)
    predicted = np.where(predictions.predicted == 3, 4, predictions.predicted)
    report = report_of(replace(predictions, targets=targets, predicted=predicted))
    row = report["per_class"][3]
    assert row["n"] == 0
    assert row["recall"] == row["f1"] == row["auc"]
    assert row["recall"] == {"value": None, "reason": "no image of grade 3"}
    assert row["precision"] == {"value": None, "reason": "no image was predicted as grade 3"}
    assert row["specificity"]["value"] == 1.0
    for name in ("balanced_accuracy", "macro_auc"):
        assert report[name] == {"value": None, "reason": "no image of grade 3"}
    assert report["accuracy"]["value"] is not None
    assert report["quadratic_kappa"]["value"] is not None
    pair = next(row for row in report["pairs"] if row["pair"] == [3, 4])
    assert pair["auc"] == {"value": None, "reason": "no image of grade 3"}
    assert pair["accuracy"]["value"] is not None


def test_one_grade_alone_still_makes_a_report(build):
    report = report_of(build(np.zeros(30, dtype=int), np.full((30, 10), -1.0)))
    assert report["quadratic_kappa"]["value"] is None
    assert report["referable"]["auc"] == {"value": None, "reason": "no image is referable"}
    assert report["referable"]["high_sensitivity"]["threshold"] is None
    assert report["pairs"][-1]["accuracy"]["reason"] == "no image of grade 3 and 4"
    assert report["accuracy"]["low"] > 0.8


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_other_numbers_of_classes_have_no_referable_grade(draw, classes):
    report = report_of(draw(140, classes=classes))
    for condition in ("referable", "vision_threatening"):
        assert report[condition]["value"] is None
        assert f"{classes} classes" in report[condition]["reason"]
    assert len(report["pairs"]) == classes * (classes - 1) // 2
    assert report["macro_auc"]["value"] > 0.5


@pytest.mark.slow
def test_ten_thousand_images_of_two_eyes_take_seconds(draw):
    predictions = draw(10_000, eyes_per_patient=2)
    began = time.process_time()
    report_of(predictions)
    assert time.process_time() - began < 6
