"""What an evaluation left is used for the probabilities that it is of, and for no others."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.decoding import expected_grade
from dr_ovo.predictions.calibration_file import load_calibration, save_calibration
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import joint_files
from tests.fixtures.sealed import edit

NAMES = ("test_efficientnet", "test_resnet")
HERE = ("--device", "cpu", "--num_workers", 0)
ROUNDED = "expected grades are rounded now"
OTHER = "was evaluated with other temperatures than its models have now"


@pytest.fixture(scope="module")
def trained(trainer, tiny_dataset, tmp_path_factory) -> Path:
    """Two networks with a softmax head and class weights, not evaluated; read only."""
    root = tmp_path_factory.mktemp("weighted") / "out"
    outcome = trainer(
        "--base_models", *NAMES, "--img_size", 32, *HERE, "--no-pretrained", "--head", "softmax",
        "--dataset_path", tiny_dataset, "--output_dir", root, "--epochs", 2, "--warmup_epochs", 0,
        "--learning_rate", "1e-2", "--class_weights", 1, 2, 3, 4, 5,
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    return root


@pytest.fixture
def models(trained, tmp_path, monkeypatch) -> Path:
    """A copy of the networks; the thresholds of the expected grade are fitted on 10 images."""
    monkeypatch.setattr(expected_grade, "MIN_IMAGES", 10)
    return Path(shutil.copytree(trained, tmp_path / "models"))


@pytest.fixture
def run(trainer, tiny_dataset, models, tmp_path):
    """Evaluates the networks on both splits, or grades the photographs of test, as `--mode` says;
    the first one alone, or both."""

    def call(mode: str, *flags: object, names: tuple[str, ...] = NAMES):
        own = models if len(names) > 1 else models / f"{names[0]}_5class_results"
        words = ("--mode", mode, "--base_models", *names, "--output_dir", own, *HERE, *flags)
        data = ("--dataset_path", tiny_dataset)
        if mode == "inference":
            data = ("--input", tiny_dataset / "test", "--output", tmp_path / "grades.csv")
        outcome = trainer(*words, *data)
        assert outcome.code == 0, outcome.stderr
        return outcome

    return call


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def graded(path: Path) -> tuple[list[int], np.ndarray]:
    """The grades (N,) in a CSV, and the probabilities (N, 5)."""
    found = rows(path)
    values = [[float(row[f"probability_{grade}"]) for grade in range(5)] for row in found]
    return [int(row["grade"]) for row in found], np.array(values)


def temper_again(folder: Path, factor: float) -> None:
    """Lets a folder be as after an evaluation that found another temperature."""
    results = ResultsFolder(folder)
    calibration = load_calibration(results.calibration)
    changed = replace(calibration, temperature=calibration.temperature * factor)
    save_calibration(results.calibration, changed)
    for split in ("val", "test"):
        made_from = results.read_evaluation(split)["made_from"] | joint_files(results)
        edit(results.evaluation(split), lambda content, of=made_from: content.update(made_from=of))


def rounded(probabilities: np.ndarray) -> list[int]:
    return np.floor(probabilities @ np.arange(5) + 0.5).astype(int).tolist()


@pytest.mark.parametrize(
    ("evaluated", "now"),
    [
        (("--decoder", "expected"), ("--decoder", "expected", "--prior_correction")),
        (("--decoder", "coupling"), ("--decoder", "expected")),
    ],
)
def test_thresholds_of_other_probabilities_are_not_used(evaluated, now, run, models, tmp_path):
    run("evaluate", *evaluated, names=NAMES[:1])
    outcome = run("inference", *now, names=NAMES[:1])
    assert ROUNDED in outcome.stderr
    assert f"was evaluated with {' '.join(evaluated)} --prior_correction false" in outcome.stderr
    grades, probabilities = graded(tmp_path / "grades.csv")
    assert grades == rounded(probabilities)
    run("evaluate", *now, names=NAMES[:1])
    folder = models / f"{NAMES[0]}_5class_results"
    assert load_calibration(folder / "calibration.json").grade_thresholds is not None
    again = run("inference", *now, names=NAMES[:1])
    assert "was evaluated with" not in again.stderr
    assert "No operating points" not in again.stderr


def test_a_mean_of_other_probabilities_is_rounded(run, tmp_path):
    run("evaluate", "--decoder", "coupling")
    outcome = run("inference", "--decoder", "expected")
    assert ROUNDED in outcome.stderr
    assert "averaged as they are" not in outcome.stderr
    grades, probabilities = graded(tmp_path / "grades.csv")
    assert grades == rounded(probabilities)
    run("evaluate", "--decoder", "expected")
    assert ROUNDED not in run("inference", "--decoder", "expected").stderr


def test_a_temperature_of_other_probabilities_is_not_used(run, tmp_path):
    run("evaluate")
    single = []
    for name in NAMES:
        run("inference", "--prior_correction", names=(name,))
        single.append(graded(tmp_path / "grades.csv")[1])
    outcome = run("inference", "--prior_correction")
    assert outcome.stderr.count("averaged as they are") == 2
    assert "was evaluated with --prior_correction false" in outcome.stderr
    _, mean = graded(tmp_path / "grades.csv")
    assert mean == pytest.approx(np.mean(single, axis=0), abs=1e-5)


def test_a_mean_of_other_temperatures_has_no_points(run, models, tmp_path):
    """Of a model that was evaluated alone since, by other images; a last bit is no other one."""
    run("evaluate", "--decoder", "expected")
    before = ResultsFolder(models / "ensemble").read_evaluation("val")["member_temperatures"]
    files = {f"{n}_5class_results": models / f"{n}_5class_results/calibration.json" for n in NAMES}
    assert before == {name: load_calibration(path).temperature for name, path in files.items()}
    assert OTHER not in run("inference", "--decoder", "expected").stderr
    assert any(row["referable_high_sensitivity"] for row in rows(tmp_path / "grades.csv"))

    temper_again(models / f"{NAMES[1]}_5class_results", 1 - 1e-6)
    assert OTHER not in run("inference", "--decoder", "expected").stderr
    temper_again(models / f"{NAMES[1]}_5class_results", 0.5)
    said = run("inference", "--decoder", "expected").stderr
    assert said.count(f"{models / 'ensemble'} {OTHER}") == 2  # of the points, and of the grades
    assert not any(row["referable_high_sensitivity"] for row in rows(tmp_path / "grades.csv"))
    grades, probabilities = graded(tmp_path / "grades.csv")
    assert grades == rounded(probabilities)
    run("evaluate", "--decoder", "expected")
    assert OTHER not in run("inference", "--decoder", "expected").stderr


def test_a_mean_of_an_earlier_version_does_not_name_temperatures(run, models):
    run("evaluate")
    path = models / "ensemble" / "evaluation_val.json"
    edit(path, lambda content: content.pop("member_temperatures"))
    temper_again(models / f"{NAMES[1]}_5class_results", 0.5)
    said = run("inference").stderr
    assert OTHER not in said
    assert "No operating points" not in said
