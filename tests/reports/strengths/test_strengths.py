"""analyze_per_class_strengths.py: figures, leads chosen on val, shared mistakes, the command."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from dr_ovo.document.screen_and_files import report_text, table_csv
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.predictions_file import Predictions, pair_logits
from dr_ovo.reports.strengths.shared_mistakes import expected_by_chance, shared_mistakes
from dr_ovo.reports.strengths.strengths import analyze_strengths
from dr_ovo.results.model_results import Facts, ModelResults
from dr_ovo.results.result_sets import ResultSet, open_results
from tests.fixtures.slow import slow

FACTS = Facts(None, None, None, "softmax", None, None, None, ())


def model(name, targets, predicted, classes=5, confidence=0.6):
    """A model that calls `predicted`, each with the same confidence."""
    count = len(targets)
    probabilities = np.full((count, classes), (1 - confidence) / (classes - 1))
    probabilities[np.arange(count), predicted] = confidence
    # Noise too small to change a grade, so that no two models are the same.
    noise = 1e-3 * np.random.default_rng(sum(map(ord, name))).random(probabilities.shape)
    probabilities = (probabilities + noise) / (probabilities + noise).sum(axis=1, keepdims=True)
    answers = Predictions(
        head="softmax",
        decoder="argmax",
        class_names=np.arange(classes).astype(str),
        sample_ids=np.char.add("i", np.arange(count).astype(str)),
        patient_ids=np.arange(count).astype(str),
        eyes=np.full(count, ""),
        quality=np.full(count, np.nan),
        calibration=np.zeros(count, dtype=bool),
        targets=targets,
        predicted=predicted,
        pairs=np.zeros((0, 2)),
        logits=np.log(probabilities),
        probabilities=probabilities,
    )
    return ModelResults(name, Path(name), answers, answers, fit_calibration(answers, []), FACTS)


def noisy(name, targets, share, classes=5, seed=0):
    """A model that is one grade off for a share of the images."""
    random = np.random.default_rng(seed)
    wrong = random.random(len(targets)) < share
    return model(name, targets, np.where(wrong, (targets + 1) % classes, targets), classes)


@pytest.fixture(scope="module")
def opened(simulated):
    return open_results(sorted(simulated.glob("*_5class_results"))[:3], [], intersect=False)


@pytest.fixture(scope="module")
def report(opened):
    return analyze_strengths(opened)


def test_class_figures_are_those_of_scikit_learn(report, opened):
    for found in opened.models:
        t, p = found.test.targets, found.test.predicted
        for grade in range(5):
            figures = report.data["classes"][grade]["models"][found.name]
            one = {"labels": [grade], "average": "macro"}
            known = {
                "recall": recall_score(t, p, **one),
                "precision": precision_score(t, p, **one),
                "specificity": recall_score(t != grade, p != grade),
                "f1": f1_score(t, p, **one),
                "auc": roc_auc_score(t == grade, found.test.probabilities[:, grade]),
            }
            assert {key: figures[key]["value"] for key in known} == pytest.approx(known)
            assert (
                figures["recall"]["low"] <= figures["recall"]["value"] <= figures["recall"]["high"]
            )


def test_pair_figures_are_those_of_scikit_learn(report, opened):
    found = opened.models[0]
    for column, entry in enumerate(report.data["pairs"]):
        own = np.isin(found.test.targets, entry["pair"])
        positive = found.test.targets[own] == entry["pair"][1]
        logits = pair_logits(found.test)[own, column]
        known = {
            "accuracy": np.mean(positive == (logits > 0)),
            "recall": recall_score(positive, logits > 0),
            "precision": precision_score(positive, logits > 0),
            "specificity": recall_score(~positive, logits <= 0),
            "f1": f1_score(positive, logits > 0),
            "auc": roc_auc_score(positive, logits),
        }
        figures = entry["models"][found.name]
        assert {key: figures[key]["value"] for key in known} == pytest.approx(known)
        assert entry["n"] == own.sum()


@pytest.mark.usefixtures("blank_figures")
def test_the_best_is_chosen_on_val_and_tested_on_test():
    targets = np.arange(400) % 5
    good, bad = noisy("good", targets, 0.05), noisy("bad", targets, 0.5, seed=1)
    data = analyze_strengths(ResultSet((bad, good))).data
    for entry in data["classes"]:
        assert (entry["best"], entry["runner_up"]) == ("good", "bad")
        assert entry["lead"]["recall"]["verdict"] == entry["lead"]["f1"]["verdict"] == "better"
        assert "its lead over bad in recall and F1 is significant" in entry["words"]
    swapped = (replace(bad, val=good.val), replace(good, val=bad.val))
    data = analyze_strengths(ResultSet(swapped)).data
    for entry in data["classes"]:
        assert entry["best"] == "bad"
        assert "on test good, the runner-up, is better in recall and F1" in entry["words"]


@pytest.mark.usefixtures("blank_figures")
def test_noise_is_no_lead():
    targets = np.arange(400) % 5
    models = tuple(noisy(f"m{seed}", targets, 0.2, seed=seed) for seed in range(2))
    for entry in analyze_strengths(ResultSet(models)).data["classes"]:
        assert "no lead over" in entry["words"]
        assert entry["lead"]["f1"]["low"] <= 0 <= entry["lead"]["f1"]["high"]


@pytest.mark.usefixtures("blank_figures")
def test_leads_are_corrected_for_all_classes_together():
    targets = np.arange(200) % 5
    models = (noisy("a", targets, 0.2), noisy("b", targets, 0.35, seed=1))
    leads = [entry["lead"] for entry in analyze_strengths(ResultSet(models)).data["classes"]]
    p = [lead[key]["p"] for lead in leads for key in ("recall", "f1")]
    corrected = [lead[key]["p_corrected"] for lead in leads for key in ("recall", "f1")]
    assert min(corrected) == pytest.approx(min(1.0, 10 * min(p)))


@pytest.mark.usefixtures("blank_figures")
def test_shared_mistakes_by_hand():
    targets = np.array([0, 1, 2, 3, 4, 4])
    first = model("first", targets, np.array([0, 2, 0, 3, 2, 3]))
    second = model("second", targets, np.array([1, 2, 4, 3, 1, 4]))
    found = {mistake["sample_id"]: mistake for mistake in shared_mistakes([first, second])}
    assert set(found) == {"i1", "i2", "i4"}
    assert found["i4"]["predicted"] == {"first": 2, "second": 1}
    assert found["i4"]["grades_off"] == {"least": 2, "most": 3}
    assert found["i1"]["grades_off"] == {"least": 1, "most": 1}
    truth = float(second.test.probabilities[4, 4])
    assert found["i4"]["probability_of_truth"]["second"] == truth
    # grade 1: 1 image missed by both; grade 2 likewise; grade 4: 2 images, 1 x 1/2 of them.
    assert expected_by_chance([first, second]) == pytest.approx(1 + 1 + 2 * 1 * 0.5)
    report = analyze_strengths(ResultSet((first, second)))
    mistakes = report.data["shared_mistakes"]
    assert mistakes["off_by_two_or_more"] == {"in_all_models": 2, "in_some_model": 2}
    assert mistakes["by_grade"] == {"0": 0, "1": 1, "2": 1, "3": 0, "4": 1}
    assert mistakes["share"]["value"] == pytest.approx(0.5)
    assert "All 2 models grade 3 images wrongly" in report_text(report)
    table = next(t for s in report.sections for t in s.tables if t.name == "shared_mistakes")
    rows = {row["sample_id"]: row for row in csv.DictReader(table_csv(table).splitlines())}
    assert (rows["i4"]["target"], rows["i4"]["first_grade"]) == ("4", "2")
    assert float(rows["i4"]["second_probability_of_truth"]) == truth


def test_confusions(report, opened):
    for found in opened.models:
        counts = np.array(report.data["confusion"][found.name])
        assert counts.sum() == 120
        assert np.trace(counts) == (found.test.predicted == found.test.targets).sum()
        np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(found.test.targets))


GRADES = np.arange(40) % 5


@pytest.mark.parametrize(
    "models",
    [
        *slow(
            ((noisy("alone", GRADES, 0.3),),),
            ((noisy("right", GRADES, 0.0), noisy("noisy", GRADES, 0.3)),),
            ((noisy("wrong", GRADES, 1.0), noisy("as wrong", GRADES, 1.0)),),
        ),
        (noisy("a", np.array([0, 2, 3]), 0.3), noisy("b", np.array([0, 2, 3]), 0.5)),
        (noisy("a", np.zeros(4, dtype=int), 0.5), noisy("b", np.zeros(4, dtype=int), 0.3)),
        pytest.param(
            (noisy("a", np.arange(20) % 2, 0.3, 2), noisy("b", np.arange(20) % 2, 0.3, 2, 1)),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            (noisy("a", np.arange(40) % 10, 0.3, 10), noisy("b", np.arange(40) % 10, 0.3, 10, 1)),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            tuple(noisy(f"a_name_of_20_letter{n}", GRADES, 0.3, seed=n) for n in range(9)),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["alone", "all right", "all wrong", "absent", "one grade", "two", "ten", "nine"],
)
def test_nothing_crashes_and_no_line_is_too_long(models):
    report = analyze_strengths(ResultSet(models))
    json.dumps(report.data, allow_nan=False)
    assert max(map(len, report_text(report).splitlines())) <= 111
    figures = [figure for section in report.sections for figure in section.figures]
    assert [figure.name for figure in figures] == ["strengths_heat", "confusions"]


@pytest.mark.usefixtures("blank_figures")
def test_an_absent_grade_says_so():
    targets = np.array([0, 1, 2, 3] * 5)
    models = (noisy("a", targets, 0.3, seed=2), noisy("b", targets, 0.3, seed=3))
    report = analyze_strengths(ResultSet(models))
    entry = report.data["classes"][4]
    assert entry["best"] is None
    assert entry["models"]["a"]["recall"] == {"value": None, "reason": "no image of grade 4"}
    assert "Grade 4: no model can be chosen, since val has no image of it." in report_text(report)


def test_marks_are_shown(report):
    assert report.marks == ("SIMULATED",)
    figures = [figure for section in report.sections for figure in section.figures]
    assert all(figure.alt.startswith("SIMULATED. ") for figure in figures)


@pytest.mark.usefixtures("blank_figures")
def test_the_command(results, tmp_path, command):
    coatnet, resnet = results("coatnet", "resnet50")
    words = ("--models", "coatnet", "resnet50", "--output", "out")
    done = command("reports.strengths", *words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "SIMULATED:" in done.stdout
    content = json.loads((tmp_path / "out/strengths.json").read_text())
    assert (content["schema"], content["models"]) == (1, ["coatnet", "resnet50"])
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"strengths_heat.png", "confusions.png", "pair_strengths.csv"} <= names
    with (tmp_path / "out/shared_mistakes.csv").open() as file:
        assert len(list(csv.DictReader(file))) == content["shared_mistakes"]["n"]
    (resnet / "predictions_test.npz").write_bytes(b"damaged")
    refused = command("reports.strengths", "--results_dirs", coatnet, resnet, folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "predictions_test.npz can't be read" in refused.stderr
    assert "Traceback" not in refused.stderr
