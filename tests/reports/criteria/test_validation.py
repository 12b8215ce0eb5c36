"""medical_validation.py: criteria as data, judged on simulated models."""

from __future__ import annotations

import codecs
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.document.screen_and_files import report_text
from dr_ovo.ensembles.combination import mean_predictions
from dr_ovo.errors import UserError
from dr_ovo.files import file_sha256, write_json
from dr_ovo.models.architectures import ARCHITECTURES
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.calibration_file import load_calibration, save_calibration
from dr_ovo.predictions.predictions_file import save_predictions
from dr_ovo.reports.criteria.criteria import MET, NOT_MET, UNDECIDED, UNKNOWN
from dr_ovo.reports.criteria.criteria_file import DEFAULT, read_checklist
from dr_ovo.reports.criteria.external_results import read_external
from dr_ovo.reports.criteria.report import validation_report
from dr_ovo.reports.criteria.validation import validate
from dr_ovo.results.model_results import Facts, ModelResults
from dr_ovo.results.result_sets import ResultSet
from dr_ovo.statistics.model_statistics import sensitivity_and_specificity
from dr_ovo.synthetic.simulated_predictions import Simulation

ROOT = Path(__file__).resolve().parents[3]
HEAD = 'schema = 1\nensemble = ["coatnet", "resnet50"]\nbaseline = ["resnet50"]\n'


def criterion(model="coatnet", metric="accuracy", limit="above = 0.5", name="a"):
    return (
        f'[[criterion]]\nid = "{name}"\ntext = "words"\nmodel = "{model}"\n'
        f'metric = "{metric}"\n{limit}\n'
    )


@pytest.fixture(scope="module")
def results():
    names, simulation = ("coatnet", "resnet50"), Simulation((0.85, 0.7))
    models = []
    for name, val, test in zip(
        names, simulation.draw(100, 2, 1), simulation.draw(100, 2, 2), strict=True
    ):
        row = ARCHITECTURES[name]
        facts = Facts(row.timm_name, row.family, row.paradigm, "softmax", 26_700_000, None, None,
                      ("SIMULATED",))  # fmt: skip
        models.append(ModelResults(name, Path(name), val, test, fit_calibration(val, []), facts))
    return ResultSet(tuple(models))


@pytest.fixture
def judged(results, tmp_path):
    """The judgements on criteria written as TOML."""

    def call(text, external=None):
        path = tmp_path / "criteria.toml"
        path.write_text(HEAD + text)
        return validate(results, read_checklist(path), external)

    return call


def test_a_file_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "criteria.toml"
    path.write_bytes(codecs.BOM_UTF8 + DEFAULT.read_bytes())
    assert read_checklist(path) == read_checklist(DEFAULT)


def test_the_defaults_are_the_whole_checklist(results):
    checklist = read_checklist(DEFAULT)
    limits = {one.id: one.limit for one in checklist.criteria}
    assert limits["accuracy-coatnet"] == 0.98
    assert limits["class-1-swinv2"] == 0.96
    assert (limits["sensitivity"], limits["specificity"]) == (0.85, 0.825)
    assert len(checklist.ensemble) == 7
    found = validate(results, checklist, None)
    by_name = {(one.criterion.id, one.subject): one for one in found.judgements}
    assert by_name["accuracy-coatnet", "coatnet"].verdict == NOT_MET
    assert "no results of swinv2" in by_name["recalls", "swinv2"].why
    assert "densenet121" in by_name["auc-ensemble", "ensemble"].why
    assert by_name["parameters-least", "coatnet"].verdict == MET
    assert "--external" in by_name["hold-out", "external"].why
    assert "hold-out" in report_text(validation_report(found))


def test_models_that_no_criterion_is_about_are_not_graded(judged):
    report = validation_report(judged(criterion("swinv2") + criterion("convnext", name="b")))
    assert report.data["grade"] is None
    said = report.sections[0].paragraphs[0]
    assert said.startswith("Not graded, as no criterion can be judged here. Of 2 criteria: 0 met, ")
    assert "Grade" not in said


def test_the_ensemble_is_the_mean_of_the_members(judged, results):
    (found,) = judged(criterion("ensemble")).judgements
    mean = mean_predictions([model.member_test for model in results.models])
    assert found.metric["value"] == pytest.approx((mean.predicted == mean.targets).mean())
    (gain,) = judged(criterion("ensemble", "gain.accuracy")).judgements
    alone = results.named("resnet50").test
    expected = (mean.predicted == mean.targets).mean() - (
        alone.probabilities.argmax(axis=1) == alone.targets
    ).mean()
    assert gain.metric["value"] == pytest.approx(expected)


def test_sensitivity_is_that_at_the_point_frozen_on_val(judged, results):
    path = "referable.high_sensitivity.sensitivity"
    (found,) = judged(criterion("resnet50", path)).judgements
    model = results.named("resnet50")
    threshold = model.calibration.referable.high_sensitivity.threshold
    ill = model.test.targets >= 2
    called = model.test.probabilities[ill][:, 2:].sum(axis=1) >= threshold
    assert found.metric["value"] == pytest.approx(called.mean())


def test_every_grade_means_the_worst(judged, results):
    (found,) = judged(criterion("coatnet", "per_class.*.recall")).judgements
    p = results.named("coatnet").test
    recalls = [(p.predicted[p.targets == grade] == grade).mean() for grade in range(5)]
    assert found.metric["value"] == pytest.approx(min(recalls))


def test_each_model_is_a_row_each_and_undecided_ones_say_how_many_images(judged):
    found = judged(criterion("each model", limit="above = 0.68")).judgements
    assert [one.subject for one in found] == ["coatnet", "resnet50"]
    assert [one.verdict for one in found] == [MET, UNDECIDED]
    assert found[1].images > 200
    assert "test images" in found[1].why


def test_an_external_set_is_held_against_the_models_own_images(judged, results, tmp_path):
    model = results.models[0]
    (test,) = Simulation((0.9,)).draw(50, 2, 7)
    ids = [f"other{number}.png" for number in range(len(test.targets))]
    ids[0] = model.test.sample_ids[0]  # one picture of the models' own
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for split in ("val", "test"):
        external_predictions = replace(test, sample_ids=ids, marks=["LEAKY"])
        save_predictions(folder / f"predictions_{split}.npz", external_predictions)
    save_calibration(folder / "calibration.json", fit_calibration(test, []))
    text = criterion("external", "independent_images", "at_least = 1")
    found = judged(text, folder)
    assert found.judgements[0].verdict == MET
    assert found.judgements[0].metric["value"] == len(ids) - 1
    assert found.external["accuracy"]["value"] == pytest.approx(
        np.mean(test.predicted == test.targets)
    )
    assert "LEAKY" in found.marks
    assert "LEAKY" in validation_report(found).marks
    assert "LEAKY" not in judged(text).marks
    assert judged(text).judgements[0].verdict == UNKNOWN


def test_the_external_set_of_another_training_has_its_own_points(
    judged, results, simulated, tmp_path
):
    """Its network is another one of the same architecture: its thresholds are its own folder's."""
    folder = tmp_path / "seed2" / "coatnet_5class_results"
    shutil.copytree(simulated / "coatnet_5class_results", folder)
    own = load_calibration(folder / "calibration.json")
    points = replace(own.referable.high_sensitivity, threshold=0.9, high=0.95)
    changed = replace(own, referable=replace(own.referable, high_sensitivity=points))
    save_calibration(folder / "calibration.json", changed, ["SIMULATED"])
    write_json(folder / "config.json", {"settings": {"base_models": ["coatnet"]}})
    there = folder / "external" / "hold"
    there.mkdir(parents=True)
    (test,) = Simulation((0.9,)).draw(50, 2, 7)
    save_predictions(there / "predictions_external.npz", test)
    made_from = {"checkpoints": {}, "calibration": file_sha256(folder / "calibration.json")}
    write_json(there / "evaluation_external.json", {"made_from": made_from})
    assert read_external(there, "external").facts.architecture == "coatnet_0_rw_224"
    text = criterion("external", "referable.high_sensitivity.sensitivity", "at_least = 0.1")
    expected = sensitivity_and_specificity(test, "referable", 0.9)[0]
    found = judged(text, there).judgements[0].metric["value"]
    assert found == pytest.approx(expected.compute(np.ones((len(test.targets), 1))).item())
    others = results.models[0].calibration.referable.high_sensitivity.threshold
    assert others < 0.5  # and by those of the first training it would be more


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[criterion]\n", "line 4"),
        ("", "no criteria"),
        (criterion() + criterion(), "'a' occurs twice"),
        (criterion().replace("metric", "metrik"), r"criterion 1 \('a'\): unknown key 'metrik'"),
        (criterion(limit=""), "one limit"),
        (criterion(limit="above = 1\nbelow = 1"), "above and below"),
        (criterion(limit='above = "98 %"'), "expected a number"),
        (criterion("coatnett"), "'coatnett' is not a model. Nearest: coatnet"),
        (criterion(metric="acuracy"), "no metric 'acuracy'. Nearest: accuracy"),
    ],
)
def test_mistakes_in_the_file_are_named(text, said, judged):
    with pytest.raises(UserError, match=said):
        judged(text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="can't be read"):
        read_checklist(tmp_path / "none.toml")


def test_two_models_of_one_architecture_are_refused(results):
    twins = ResultSet((results.models[0], results.models[0]))
    with pytest.raises(UserError, match="share an architecture"):
        validate(twins, read_checklist(DEFAULT), None)


def test_figures_beyond_the_best_known_are_warned_of(judged):
    assert not any("resnet50" in warning for warning in judged(criterion()).warnings)
    (model,) = Simulation((0.99,)).draw(100, 2, 3)
    facts = Facts("resnet50", None, None, "softmax", None, None, None, ())
    one = ModelResults("resnet50", Path("r"), model, model, fit_calibration(model, []), facts)
    (warning,) = validate(ResultSet((one,)), read_checklist(DEFAULT), None).warnings
    assert "leakage" in warning


@pytest.fixture
def folder(results, tmp_path) -> Path:
    """The results folder of one model."""
    model = results.models[0]
    folder = tmp_path / "coatnet_5class_results"
    folder.mkdir()
    for split, content in (("val", model.val), ("test", model.test)):
        save_predictions(folder / f"predictions_{split}.npz", content)
    save_calibration(folder / "calibration.json", model.calibration)
    return folder


@pytest.mark.parametrize(
    ("limit", "code"), [("above = 0.3", 0), ("above = 0.99", 1), ("above = no", 2)]
)
def test_the_exit_code(limit, code, folder, tmp_path, command):
    (tmp_path / "c.toml").write_text("schema = 1\n" + criterion(limit=limit))
    words = ["--results_dirs", folder, "--criteria", tmp_path / "c.toml", "--output", "out"]
    done = command("reports.validate", *words, folder=tmp_path)
    assert done.returncode == code, done.stderr
    if code < 2:
        content = json.loads((tmp_path / "out" / "validation.json").read_text())
        assert content["criteria"][0]["verdict"] == (MET, NOT_MET)[code]


@pytest.mark.slow
def test_the_process_loads_neither_torch_nor_statistics(folder, tmp_path):
    (tmp_path / "c.toml").write_text("schema = 1\n" + criterion(limit="above = 0.99"))
    words = ["--results_dirs", folder, "--criteria", tmp_path / "c.toml", "--output", "out"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "medical_validation.py", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    imported = re.findall(r"^import time:.*\| +([\w.]+)$", done.stderr, re.M)
    assert "numpy" in imported
    assert not {"torch", "scipy.stats"} & set(imported)  # half a second and more


def fewer(predictions, classes):
    """The same samples with the highest grades as one class."""
    low, high = np.split(predictions.probabilities, [classes - 1], axis=1)
    probabilities = np.hstack([low, high.sum(axis=1, keepdims=True)])
    return replace(
        predictions,
        head="softmax", decoder="argmax", pairs=np.zeros((0, 2), np.int64),
        class_names=np.array([f"c{grade}" for grade in range(classes)]),
        targets=predictions.targets.clip(max=classes - 1),
        predicted=predictions.predicted.clip(max=classes - 1),
        logits=np.log(probabilities + 1e-9), probabilities=probabilities,
    )  # fmt: skip


@pytest.fixture(scope="module", params=[2, 3, 4])
def of_fewer_classes(request, results):
    models = []
    for model in results.models:
        val, test = (fewer(one, request.param) for one in (model.val, model.test))
        models.append(replace(model, val=val, test=test, calibration=fit_calibration(val, [])))
    return request.param, ResultSet(tuple(models))


def test_what_fewer_classes_have_not_can_not_be_known(of_fewer_classes):
    _, models = of_fewer_classes
    found = validate(models, read_checklist(DEFAULT), None)
    by_name = {(one.criterion.id, one.subject): one for one in found.judgements}
    assert by_name["accuracy-coatnet", "coatnet"].verdict == NOT_MET
    assert by_name["class-1-coatnet", "coatnet"].metric["value"] is not None
    report = validation_report(found)
    assert report.data["grade"] != "A"
    assert report.data["n"] == 200


def test_the_reason_is_the_number_of_classes(of_fewer_classes, tmp_path):
    classes, models = of_fewer_classes
    text = "".join(
        criterion(metric=metric, name=metric)
        for metric in (
            "referable.high_sensitivity.sensitivity", "vision_threatening.auc",
            "per_class.4.recall", "pairs.2-4.accuracy", "per_class.1.recall",
        )
    )  # fmt: skip
    (tmp_path / "c.toml").write_text("schema = 1\n" + text)
    *unknown, known = validate(models, read_checklist(tmp_path / "c.toml"), None).judgements
    assert [one.verdict for one in unknown] == [UNKNOWN] * 4
    assert unknown[0].why == f"defined only for the 5 ICDR grades, not for {classes} classes"
    assert unknown[1].why == unknown[0].why
    assert unknown[2].why == (
        f"coatnet has no per_class.4.recall: its classes are 0 to {classes - 1}"
    )
    assert known.verdict != UNKNOWN


@pytest.mark.parametrize("metric", ["per_class.5.recall", "pairs.0-7.auc", "referable.sensitivity"])
def test_what_no_model_of_the_grades_has_is_a_mistake(metric, judged, of_fewer_classes, tmp_path):
    _, models = of_fewer_classes
    (tmp_path / "c.toml").write_text("schema = 1\n" + criterion(metric=metric))
    with pytest.raises(UserError, match="there is no metric"):
        validate(models, read_checklist(tmp_path / "c.toml"), None)
    with pytest.raises(UserError, match="there is no metric"):
        judged(criterion(metric=metric))


def test_the_commands_on_two_classes(results, tmp_path, command, reports_here):
    for model in results.models[:1]:
        folder = tmp_path / f"{model.name}_2class_results"
        folder.mkdir()
        for split in ("val", "test"):
            stored = fewer(getattr(model, split), 2)
            save_predictions(folder / f"predictions_{split}.npz", stored)
        save_calibration(folder / "calibration.json", fit_calibration(fewer(model.val, 2), []))
    folders = [str(path) for path in tmp_path.glob("*_results")]
    for module, code in (("reports.validate", 1), ("reports.report", 0)):
        done = command(module, "--results_dirs", *folders, folder=tmp_path)
        assert (done.returncode, done.stderr) == (code, "")
    assert "not for 2 classes" in (tmp_path / "report.html").read_text(encoding="utf-8")
