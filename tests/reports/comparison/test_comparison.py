"""compare_models.py: the reference, the words, edge cases, and the command itself."""

import csv
import itertools
import json
import runpy
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.document.screen_and_files import report_text
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.metrics import expected_calibration_error
from dr_ovo.predictions.predictions_file import Predictions, load_predictions
from dr_ovo.reports.comparison import figures
from dr_ovo.reports.comparison.comparison import compare
from dr_ovo.reports.comparison.figures import reliability_bins
from dr_ovo.reports.paired_comparison import (
    by_val_kappa,
    in_words,
    judged,
    overall_verdict,
    with_verdict,
)
from dr_ovo.results.model_results import Facts, ModelResults
from dr_ovo.results.result_sets import ResultSet, open_results
from dr_ovo.statistics.model_statistics import accuracy_statistic
from tests.fixtures.slow import slow

ROOT = Path(__file__).parents[3]
FACTS = Facts(None, None, None, "softmax", None, None, None, ())


def predictions(targets, probabilities, patients=None):
    count, classes = probabilities.shape
    return Predictions(
        head="softmax",
        decoder="argmax",
        class_names=np.arange(classes).astype(str),
        sample_ids=np.char.add("i", np.arange(count).astype(str)),
        patient_ids=np.arange(count).astype(str) if patients is None else patients,
        eyes=np.full(count, ""),
        quality=np.full(count, np.nan),
        calibration=np.zeros(count, dtype=bool),
        targets=targets,
        predicted=probabilities.argmax(axis=1),
        pairs=np.zeros((0, 2)),
        logits=np.log(probabilities),
        probabilities=probabilities,
    )


def model(name, count=60, classes=5, noise=1.0, seed=0, targets=None):
    """A model whose answers are the truth and Gaussian noise; `noise` 0 is always right."""
    targets = np.arange(count) % classes if targets is None else targets
    random = np.random.default_rng(seed)
    scores = 2 * np.eye(classes)[targets] + noise * random.normal(size=(len(targets), classes))
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    answers = predictions(targets, probabilities)
    return ModelResults(name, Path(name), answers, answers, fit_calibration(answers, []), FACTS)


@pytest.fixture(scope="module")
def opened(simulated):
    folders = sorted(simulated.glob("*_5class_results"))[:4]
    return open_results(folders, [], intersect=False)


@pytest.fixture(scope="module")
def report(opened):
    return compare(opened)


def test_every_metric_has_a_value_in_its_interval(report, opened):
    rows = {row["name"]: row for row in report.data["models"]}
    assert set(rows) == set(opened.names)
    for found in opened.models:
        row, ones = rows[found.name], np.ones((120, 1))
        assert row["accuracy"]["value"] == accuracy_statistic(found.test).compute(ones)[0]
        evaluation = json.loads((found.folder / "evaluation.json").read_text())
        for key in ("accuracy", "balanced_accuracy", "quadratic_kappa", "macro_auc"):
            assert row[key] == pytest.approx(evaluation[key])
            assert row[key]["low"] < row[key]["value"] < row[key]["high"]
        assert row["class_1_recall"] == evaluation["per_class"][1]["recall"]
        for point in ("argmax", "high_sensitivity"):
            assert row["referable"][point] == evaluation["referable"][point]
        for kind, key in itertools.product(("raw", "tempered"), ("ece", "brier")):
            # Summed in another order of the samples.
            known = evaluation["calibration"][kind][key]
            assert row["calibration"][kind][key] == pytest.approx(known)


@pytest.mark.usefixtures("blank_figures")
def test_the_reference_is_the_best_on_the_selection_share_of_val():
    good, bad = model("good", noise=0.5), model("bad", noise=3.0, seed=1)
    swapped = replace(good, name="better on test", val=bad.val)
    honest = replace(bad, name="better on val", val=good.val)
    assert [m.name for m, _ in by_val_kappa([swapped, honest])] == ["better on val", swapped.name]
    data = compare(ResultSet((swapped, honest))).data
    assert data["reference"]["name"] == "better on val"
    assert data["differences"][0]["accuracy"]["value"] > 0
    # The images left for calibration have no say: turn the answers there into the opposite.
    left = np.arange(60) >= 30
    wrong = np.where(left, 4 - good.val.targets, good.val.predicted)
    calibrated = replace(good, val=replace(good.val, predicted=wrong, calibration=left))
    assert by_val_kappa([bad, calibrated])[0][0] is calibrated


def test_an_undefined_kappa_on_val_comes_last():
    one_grade = model("one", targets=np.zeros(20, dtype=int), noise=0.0)
    found = by_val_kappa([one_grade, model("other")])
    assert [(m.name, kappa is None) for m, kappa in found] == [("other", False), ("one", True)]


@pytest.mark.parametrize(
    ("value", "p", "word"),
    [
        (0.1, 0.049, "better"),
        (-0.1, 0.001, "worse"),
        (0.1, 0.05, "no difference shown"),
        (0.1, float("nan"), "unknown"),
        (None, 0.01, "unknown"),
    ],
)
def test_a_word_needs_a_corrected_p_below_5_percent(value, p, word):
    assert with_verdict({"value": value}, 0.0, p)["verdict"] == word


def test_holm_runs_over_all_comparisons():
    differences = [{"accuracy": {"value": -0.1}, "quadratic_kappa": {"value": -0.1}}] * 2
    p = [{"accuracy": 0.011, "quadratic_kappa": 0.02}, {"accuracy": 0.5, "quadratic_kappa": 0.9}]
    first, second = judged(differences, p)
    assert first["accuracy"]["p_corrected"] == pytest.approx(0.044)
    assert first["quadratic_kappa"]["p_corrected"] == pytest.approx(0.06)
    assert overall_verdict(first) == "worse"
    assert overall_verdict(second) == "no difference shown"
    assert in_words("b", "a", first) == (
        "b: worse than a in accuracy; no difference shown in kappa."
    )


@pytest.mark.usefixtures("blank_figures")
def test_a_gap_that_is_there_is_found_and_noise_is_not():
    models = [model("best", 300, noise=0.6), model("alike", 300, noise=0.6, seed=5)]
    models.append(model("poor", 300, noise=2.5, seed=9))
    found = {
        difference["model"]: difference
        for difference in compare(ResultSet(tuple(models))).data["differences"]
    }
    assert found.pop("poor")["verdict"] == "worse"
    assert [difference["verdict"] for difference in found.values()] == ["no difference shown"]


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_other_numbers_of_classes_say_why_nothing_is_referable(classes):
    models = (model("a", 60, classes), model("b", 60, classes, seed=1))
    report = compare(ResultSet(models))
    point = report.data["models"][0]["referable"]["high_sensitivity"]
    assert point["sensitivity"]["value"] is None
    assert f"not for {classes} classes" in report_text(report)


@pytest.mark.parametrize(
    "models",
    [
        *slow(((model("one"),),), ((model("right", noise=0.0), model("noisy", noise=1.0)),)),
        *slow(((model("a", 5), model("b", 5, seed=3)),)),
        tuple(
            model(name, targets=np.array([0, 0, 2, 2, 2, 3, 3, 3]), seed=seed)
            for seed, name in enumerate("ab")
        ),
        tuple(model(name, targets=np.zeros(6, dtype=int), seed=s) for s, name in enumerate("ab")),
        pytest.param(
            tuple(model(f"a_name_of_20_letter{n}", seed=n) for n in range(9)),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["alone", "all right", "tiny", "absent grades", "one grade", "nine"],
)
def test_nothing_crashes_and_no_line_is_too_long(models):
    report = compare(ResultSet(models))
    json.dumps(report.data, allow_nan=False)
    text = report_text(report)
    assert max(map(len, text.splitlines())) <= 111
    assert {f.name for s in report.sections for f in s.figures} == {"forest", "reliability"}
    if len(models) == 1:
        assert "nothing to compare it with" in text
        assert report.data["differences"] == []


@pytest.mark.usefixtures("blank_figures")
def test_what_is_too_good_is_doubted():
    report = compare(ResultSet((model("perfect", noise=0.0), model("fair"))))
    assert len(report.data["warnings"]) == 1
    assert "WARNING: perfect: an accuracy of 100.0 %" in report_text(report)
    assert "prepare_dataset.py --from_tree DIR" in " ".join(report_text(report).split())
    assert compare(ResultSet((model("fair", noise=2.0),))).data["warnings"] == []


def test_marks_are_shown_everywhere(report):
    assert report.marks == ("SIMULATED",)
    figures = [figure for section in report.sections for figure in section.figures]
    assert all(figure.alt.startswith("SIMULATED. ") for figure in figures)
    assert all(figure.png.startswith(b"\x89PNG") for figure in figures)


def test_reliability_bins_add_up_to_the_calibration_error(opened):
    p = opened.models[0].test
    confidence, right, share = reliability_bins(p.targets, p.probabilities)
    gaps = np.nansum(share * np.abs(confidence - right))
    assert gaps == pytest.approx(expected_calibration_error(p.targets, p.probabilities))
    assert share.sum() == pytest.approx(1)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_legend_of_the_reliability_is_not_cut_off(count, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "png", lambda figure: drawn.append(figure) or b"")
    compare(ResultSet(tuple(model(f"m{seed}", seed=seed) for seed in range(count))))
    figure = drawn[-1]
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_the_command(results, tmp_path, command):
    folders = results("coatnet", "resnet50")
    words = ("--results_dirs", *folders, "--output", "out")
    done = command("reports.compare", *words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "SIMULATED:" in done.stdout
    content = json.loads((tmp_path / "out/comparison.json").read_text())
    assert (content["schema"], content["marks"], content["n"]) == (1, ["SIMULATED"], 120)
    with (tmp_path / "out/performance.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_name = {row["name"]: row for row in content["models"]}
    for row in rows:
        metric = by_name[row["model"]]["accuracy"]
        assert float(row["accuracy"]) == metric["value"]
        assert float(row["accuracy_low"]) == metric["low"]
    for name in ("forest", "reliability"):
        assert (tmp_path / f"out/{name}.png").stat().st_size > 5000


def fewer_images(folder):
    path = folder / "predictions_test.npz"
    stored = load_predictions(path)
    arrays = {name: getattr(stored, name) for name in stored.__dataclass_fields__}
    for name in ("sample_ids", "patient_ids", "eyes", "quality", "calibration", "targets",
                 "predicted", "logits", "probabilities"):  # fmt: skip
        arrays[name] = arrays[name][:100]
    np.savez_compressed(path, **arrays)


def test_wrong_input_ends_in_one_message(results, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the tests' own handlers stay
    coatnet, resnet = results("coatnet", "resnet50")

    def refused(*words):
        monkeypatch.setattr(sys, "argv", ["compare_models.py", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "compare_models.py"), run_name="__main__")
        said = capsys.readouterr()
        assert (ended.value.code, said.out) == (2, "")
        assert said.err.startswith("error: ")
        assert "Traceback" not in said.err
        return said.err

    assert "nowhere is not there" in refused("--results_dirs", "nowhere")
    assert "is given twice" in refused("--results_dirs", coatnet, coatnet)
    assert "Nearest names: resnet50" in refused("--models", "coatnet", "resnet5")
    assert "No model is given" in refused()
    blocked = coatnet / "config.json"
    assert "is a file" in refused("--results_dirs", coatnet, "--output", blocked)
    (resnet / "calibration.json").rename(tmp_path / "kept.json")
    assert "--mode evaluate" in refused("--results_dirs", coatnet, resnet)
    (tmp_path / "kept.json").rename(resnet / "calibration.json")
    fewer_images(resnet)
    both = ("--results_dirs", coatnet, resnet, "--output", "out")
    assert "100 in common" in refused(*both)
    assert not (tmp_path / "out").exists()
    done = command("reports.compare", *both, "--intersect", folder=tmp_path)
    assert done.returncode == 0
    assert json.loads((tmp_path / "out/comparison.json").read_text())["n"] == 100


def test_the_reports_need_no_torch():
    code = (
        "import sys, dr_ovo.document.screen_and_files\n"
        "import dr_ovo.reports.comparison.comparison, dr_ovo.reports.strengths.strengths\n"
        "sys.exit(bool({'torch', 'timm', 'torchvision', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0
