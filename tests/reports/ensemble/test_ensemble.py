"""evaluate_super_ensemble.py: ensembles of simulated models, and what is said of them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.document.screen_and_files import report_text, write_report
from dr_ovo.ensembles.cross_fitting import fit_ensemble
from dr_ovo.errors import UserError
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.calibration_file import save_calibration
from dr_ovo.predictions.metrics import accuracy, expected_calibration_error, macro_auc
from dr_ovo.predictions.predictions_file import save_predictions
from dr_ovo.reports.ensemble import figures
from dr_ovo.reports.ensemble.files import check_targets, export_manifest, write_results
from dr_ovo.reports.ensemble.report import ensemble_report
from dr_ovo.reports.ensemble.study import MEAN_OF_FIGURES, CombinationRule, study_ensemble
from dr_ovo.reports.ensemble.words import baseline_words, best_member_words, smaller_words
from dr_ovo.results.model_results import Facts, ModelResults
from dr_ovo.results.result_sets import ResultSet, open_results
from dr_ovo.synthetic.simulated_predictions import Simulation

ROOT = Path(__file__).resolve().parents[3]
FACTS = Facts(None, None, None, "softmax", None, None, None, ("SIMULATED",))


def models_of(accuracies, patients=150, shared=0.5, folder=Path()):
    """Simulated models by name, on val and test of `patients` patients with two eyes each."""
    simulation = Simulation(tuple(accuracies.values()), by_patient=shared / 2, by_image=shared / 2)
    val, test = simulation.draw(patients, 2, seed=1), simulation.draw(patients, 2, seed=2)
    return [
        ModelResults(name, folder / name, v, t, fit_calibration(v, []), FACTS)
        for name, v, t in zip(accuracies, val, test, strict=True)
    ]


FIVE = {"convnext": 0.85, "coatnet": 0.8, "densenet121": 0.75, "resnet50": 0.7, "seresnext50": 0.7}


@pytest.fixture(scope="module")
def study():
    return study_ensemble(
        ResultSet(tuple(models_of(FIVE))), CombinationRule("weighted", "kappa"), []
    )


def test_the_figures_are_those_of_the_ensembles_own_predictions(study):
    models = study.results.models
    fitted = fit_ensemble([model.member_val for model in models], "weighted", "kappa")
    probabilities = np.tensordot(
        fitted.weights, [model.member_test.probabilities for model in models], axes=1
    )
    targets, row = models[0].test.targets, study.figures["ensemble of all 5"]
    right = accuracy(targets, probabilities.argmax(axis=1))
    assert row["accuracy"]["value"] == pytest.approx(right)
    assert row["macro_auc"]["value"] == pytest.approx(macro_auc(targets, probabilities))
    tempered = probabilities ** (1 / fitted.calibration.temperature)
    tempered /= tempered.sum(axis=1, keepdims=True)
    error = expected_calibration_error(targets, tempered)
    assert row["calibration_error"]["value"] == pytest.approx(error)
    called = probabilities[:, 2:].sum(axis=1)
    called = called >= fitted.calibration.referable.high_sensitivity.threshold
    assert row["referable_sensitivity"]["value"] == pytest.approx(called[targets >= 2].mean())
    assert row["referable_specificity"]["value"] == pytest.approx((~called)[targets < 2].mean())


def test_the_mean_of_the_members_figures_stands_beside_and_is_named(study):
    members = [study.figures[name] for name in FIVE]
    for name, metric in study.figures[MEAN_OF_FIGURES].items():
        assert metric["value"] == pytest.approx(np.mean([row[name]["value"] for row in members]))
    text = report_text(ensemble_report(study))
    assert "mean of the members' figures (no ensemble)" in text
    assert "SIMULATED: random numbers" in text


def test_the_baseline_is_an_ensemble_of_the_cnns_by_the_same_method(study):
    assert study.baseline.names == ("densenet121", "resnet50", "seresnext50")
    cnns = [study.results.named(name) for name in study.baseline.names]
    fitted = fit_ensemble([model.val for model in cnns], "weighted", "kappa")
    np.testing.assert_allclose(study.baseline.fitted.weights, fitted.weights)
    lead = study.differences["baseline of 3"]["accuracy"]
    whole, own = (study.figures[row]["accuracy"] for row in ("ensemble of all 5", "baseline of 3"))
    assert lead["value"] == pytest.approx(whole["value"] - own["value"])
    assert lead["low"] < lead["value"] < lead["high"]


def test_a_baseline_that_is_named(study):
    found = study_ensemble(study.results, CombinationRule("mean"), ["coatnet", "convnext"])
    assert found.baseline.names == ("coatnet", "convnext")
    for names, said in (
        (["coatnet", "coatnet"], "named twice"),
        (list(FIVE), "these are all members"),
        (["coatnot"], "Nearest names: coatnet"),
    ):
        with pytest.raises(UserError, match=said):
            study_ensemble(study.results, CombinationRule("mean"), names)


def test_without_cnns_the_report_says_that_nothing_was_compared():
    models = models_of({"convnext": 0.8, "coatnet": 0.8, "resnet50": 0.7}, patients=60)
    found = study_ensemble(ResultSet(tuple(models)), CombinationRule("vote"), [])
    assert found.baseline is None
    assert "--baseline" in baseline_words(found)[0]


def test_an_ensemble_that_helps_is_called_better(study):
    """Errors of the members are half their own: the mean is better, beyond chance."""
    assert study.best == "convnext"
    assert "is better than its best member on val, convnext: +" in best_member_words(study)


@pytest.mark.parametrize("method", ["mean", "vote"])
def test_an_ensemble_of_bad_company_is_not_called_better(method):
    """One good model among three poor ones that share most of their errors."""
    accuracies = {"convnext": 0.93, "a": 0.5, "b": 0.5, "c": 0.5}
    models = models_of(accuracies, shared=0.9)
    found = study_ensemble(ResultSet(tuple(models)), CombinationRule(method), [])
    assert found.best == "convnext"
    words = best_member_words(found)
    assert "NOT shown to be better" in words or "WORSE" in words


def test_an_equal_ensemble_is_not_called_better():
    """A copy in all but a few grades: the interval of the difference holds 0."""
    (one, _) = models_of({"convnext": 0.8, "coatnet": 0.7})
    nudged = one.test.probabilities.copy()
    nudged[:4] = nudged[:4][:, ::-1]
    test = replace(one.test, probabilities=nudged, predicted=nudged.argmax(axis=1))
    twin = replace(one, name="twin", test=test)
    found = study_ensemble(ResultSet((one, twin)), CombinationRule("mean"), [])
    assert "NOT shown to be better" in best_member_words(found)


def test_members_that_can_be_dropped_are_named_and_the_rest_is_measured():
    accuracies = {"convnext": 0.85, "coatnet": 0.85, "resnet50": 0.85}
    good, other, third = models_of(accuracies, patients=1200)
    guesses = np.full_like(third.val.probabilities, 0.2)
    even = [replace(p, probabilities=guesses) for p in (third.val, third.test)]
    guesser = replace(third, val=even[0], test=even[1])
    found = study_ensemble(ResultSet((good, other, guesser)), CombinationRule("greedy"), [])
    assert found.smaller.names == ("convnext", "coatnet")
    assert "without loss, by val: resnet50" in smaller_words(found)
    assert found.figures["smaller ensemble of 2"]["accuracy"]["value"] > 0


@pytest.mark.parametrize(
    ("method", "said"),
    [("mean", "equal for all"), ("vote", "equal for all"), ("weighted", "fitted on val")],
)
def test_the_axis_says_whether_weights_are_fitted(study, method, said, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "png", lambda figure: drawn.append(figure) or b"")
    fitted = replace(study.whole.fitted, method=method)
    figures.weights_bars(replace(study.whole, fitted=fitted), "val", [])
    assert drawn[0].axes[0].get_xlabel() == f"weight (sum 1), {said}"


@pytest.mark.parametrize(("patients", "few"), [(60, False), (20, True)])
def test_that_no_member_is_dropped_does_not_show_that_each_is_needed(patients, few):
    models = models_of({"convnext": 0.85, "coatnet": 0.8}, patients=patients)
    found = study_ensemble(ResultSet(tuple(models)), CombinationRule("mean"), [])
    images, said = int((~models[0].val.calibration).sum()), smaller_words(found)
    assert (images < 100) == few
    assert said.startswith(f"No member is shown to be unnecessary by {images} images of val. ")
    assert said.endswith("This does not show that each is needed.")
    assert ("With fewer than 100 none is ever left out." in said) == few
    (table,) = ensemble_report(found).sections[-1].tables
    assert table.note.endswith(f"Here there are {images}.")


def test_the_test_split_decides_nothing(study):
    """Other answers on test change no weight, no best member, no baseline, nobody dropped."""
    turned = [
        replace(model, test=replace(model.test, targets=(model.test.targets + 1) % 5))
        for model in study.results.models
    ]
    again = study_ensemble(ResultSet(tuple(turned)), study.rule, [])
    np.testing.assert_array_equal(again.whole.fitted.weights, study.whole.fitted.weights)
    assert again.whole.calibration == study.whole.calibration
    assert again.best == study.best
    assert again.elimination == study.elimination


@pytest.mark.usefixtures("blank_figures")
def test_the_ensembles_folder_is_a_results_folder(study, tmp_path):
    out = tmp_path / "super_ensemble"
    written = write_report(ensemble_report(study), out) + write_results(study, out)
    assert all(path.is_file() for path in written)
    assert {"ensemble_forest.png", "ensemble_weights.png"} <= {path.name for path in written}
    opened = open_results([out], [], intersect=False)
    assert opened.marks == ["SIMULATED"]
    assert opened.models[0].test.head == "ensemble"
    own, order = study.whole.test, np.argsort(study.whole.test.sample_ids)
    np.testing.assert_array_equal(opened.models[0].test.predicted, own.predicted[order])
    assert opened.models[0].calibration == study.whole.calibration
    report = json.loads((out / "super_ensemble.json").read_text())
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert report["ensemble"]["accuracy"] == evaluation["accuracy"]
    assert sum(report["weights"]) == pytest.approx(1)


def test_what_of_its_members_has_stopped_learning_is_named(study, tmp_path):
    said = [("softmax",), ("0-4",), ("fold_2", "fold_3 0-1"), (), ()]
    models = [
        replace(model, facts=replace(FACTS, stopped=stopped))
        for model, stopped in zip(study.results.models, said, strict=True)
    ]
    write_results(replace(study, results=ResultSet(tuple(models))), tmp_path)
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    assert evaluation["stopped_learning"] == [
        "convnext", "coatnet 0-4", "densenet121 fold_2", "densenet121 fold_3 0-1",
    ]  # fmt: skip


def test_an_ensemble_of_other_than_five_classes():
    models = models_of({"a": 0.8, "b": 0.8}, patients=60)
    four = [replace(model, val=merged(model.val), test=merged(model.test)) for model in models]
    four = [replace(model, calibration=fit_calibration(model.val, [])) for model in four]
    found = study_ensemble(ResultSet(tuple(four)), CombinationRule("greedy"), [])
    reason = found.figures["ensemble of all 2"]["referable_sensitivity"]["reason"]
    assert "4 classes" in reason
    assert reason in report_text(ensemble_report(found))


def merged(p):
    """Grades 3 and 4 as one."""
    probabilities = np.c_[p.probabilities[:, :3], p.probabilities[:, 3:].sum(axis=1)]
    return replace(
        p,
        head="ensemble",
        class_names=p.class_names[:4],
        targets=p.targets.clip(max=3),
        predicted=probabilities.argmax(axis=1),
        probabilities=probabilities,
        logits=np.log(probabilities.clip(1e-12)),
    )


def test_places_that_would_be_overwritten_are_refused(study, tmp_path):
    results = study.results
    with pytest.raises(UserError, match="results folder of a model"):
        check_targets(results, results.models[0].folder, None)
    (tmp_path / "history.csv").touch()
    with pytest.raises(UserError, match="results folder of a model"):
        check_targets(results, tmp_path, None)
    with pytest.raises(UserError, match="folder that exists"):
        check_targets(results, tmp_path / "out", tmp_path / "none" / "e.json")
    with pytest.raises(UserError, match="name of a file"):
        check_targets(results, tmp_path / "out", tmp_path)
    nested = replace(results.models[0], test=study.whole.test)
    with pytest.raises(UserError, match=r"an ensemble itself.* Give its members"):
        check_targets(ResultSet((nested,)), tmp_path / "out", tmp_path / "e.json")
    (tmp_path / "folds.json").touch()
    folds = ResultSet((replace(nested, folder=tmp_path),))
    with pytest.raises(UserError, match=rf"--ensemble {tmp_path}/ensemble.json"):
        check_targets(folds, tmp_path / "out", tmp_path / "e.json")


def test_an_export_without_checkpoints_says_so(study, tmp_path):
    said = export_manifest(study, tmp_path / "e.json")
    assert "inference will refuse it" in " ".join(said.split())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Results folders of two simulated models."""
    models = models_of({"a": 0.8, "b": 0.7}, 60, folder=tmp_path_factory.mktemp("simulated"))
    for model in models:
        model.folder.mkdir()
        save_predictions(model.folder / "predictions_val.npz", model.val)
        save_predictions(model.folder / "predictions_test.npz", model.test)
        save_calibration(model.folder / "calibration.json", model.calibration)
    return [model.folder for model in models]


@pytest.mark.usefixtures("blank_figures")
def test_the_command(folders, tmp_path, command):
    words = ("--results_dirs", *folders, "--method", "vote", "--output", "out")
    done = command("reports.ensemble", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "predictions_test.npz").is_file()
    alone = command("reports.ensemble", "--results_dirs", folders[0], folder=tmp_path)
    assert alone.returncode == 2
    assert "at least 2 models" in alone.stderr


@pytest.mark.slow
def test_the_command_from_the_shell(folders, tmp_path):
    code = (
        "import runpy, sys\nsys.argv = sys.argv[1:]\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally:\n    print('torch loaded:', 'torch' in sys.modules)"
    )
    words = ["--results_dirs", *folders, "--method", "vote", "--output", "out"]
    script = ROOT / "evaluate_super_ensemble.py"
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, script, *words],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "torch loaded: False" in done.stdout
    assert (tmp_path / "out" / "predictions_test.npz").is_file()
