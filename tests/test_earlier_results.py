"""Results folders that version 0.1.0 made are evaluated, reported, applied and resumed as they
were; `tests/earlier_results/README.md` says how they were made."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dr_ovo.commands.reports import analyze, compare, report
from dr_ovo.models.network import branch_seed
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.window_gradients import WindowGradients
from tests.fixtures.slow import slow
from tests.fixtures.trainings import contents, one_thread, trainer

__all__ = ["contents", "one_thread", "trainer"]

EARLIER = Path(__file__).resolve().parent / "earlier_results"
FINISHED = ("shared", "independent")
STOPPED = ("shared_stopped", "independent_stopped")
CLOSE = 1e-5  # another processor's rounding stays below it
CLOSE_TEMPERATURE = 1e-3  # the search for it stops at about 1e-5 of its logarithm
PICTURES_MADE = 1735689600  # to an audit, a file of another time is another file
CPU = ("--device", "cpu", "--num_workers", "0")
EVALUATE = (*CPU, "--mode", "evaluate", "--patient_level", "--dataset_path", "dataset")
# The default criteria are for five grades.
CRITERIA = """
schema = 1
[[criterion]]
id = "accuracy"
text = "accuracy above 40 %"
model = "each model"
metric = "accuracy"
above = 0.40
"""

Bring = Callable[..., Path]


@pytest.fixture
def bring(tmp_path: Path) -> Bring:
    """Copies earlier folders to where they may change, and returns the place."""

    def copy(*names: str) -> Path:
        for name in names:
            shutil.copytree(EARLIER / name, tmp_path / name)
        for picture in tmp_path.glob("dataset/*/*/*.jpeg"):
            os.utime(picture, (PICTURES_MADE, PICTURES_MADE))
        return tmp_path

    return copy


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def assert_same_predictions(now: Path, earlier: Path) -> None:
    """Everything that the earlier .npz holds: numbers to rounding, the rest exactly."""
    with np.load(now) as new, np.load(earlier) as old:
        for name in old.files:
            if name in ("logits", "probabilities", "quality"):
                np.testing.assert_allclose(new[name], old[name], rtol=0, atol=CLOSE, err_msg=name)
            else:
                np.testing.assert_array_equal(new[name], old[name], err_msg=name)


def assert_same_figures(now: Any, earlier: Any, where: str = "") -> None:
    """Everything that an earlier JSON file says, but for the wording of reasons. More may stand
    there now."""
    name = where.rpartition("/")[2]
    if isinstance(earlier, dict):
        assert earlier.keys() <= now.keys(), where
        for key, value in earlier.items():
            assert_same_figures(now[key], value, f"{where}/{key}")
    elif isinstance(earlier, list):
        assert len(now) == len(earlier), where
        for number, value in enumerate(earlier):
            assert_same_figures(now[number], value, f"{where}/{number}")
    elif isinstance(earlier, float):
        close = CLOSE_TEMPERATURE if name == "temperature" else CLOSE
        assert now == pytest.approx(earlier, rel=0, abs=close), where
    elif name != "reason":
        assert now == earlier, where


@pytest.mark.parametrize("name", ["shared", *slow("independent")])
def test_a_finished_run_is_evaluated(name, bring, trainer):
    home = bring("dataset", name)
    written = ("predictions_val.npz", "predictions_test.npz")
    said = ("evaluation.json", "evaluation_val.json", "calibration.json")
    for file in (*written, *said):
        (home / name / file).unlink()
    outcome = trainer(*EVALUATE, "--output_dir", name, cwd=home)
    assert outcome.code == 0, outcome.stderr
    for file in written:
        assert_same_predictions(home / name / file, EARLIER / name / file)
    for file in said:
        assert_same_figures(read(home / name / file), read(EARLIER / name / file), file)


@pytest.mark.parametrize("name", ["independent", *slow("shared")])
def test_a_finished_run_grades_photographs(name, bring, trainer):
    home = bring("dataset", name)
    words = ("--mode", "inference", "--input", "dataset/test", "--output", "now.csv")
    outcome = trainer(*CPU, *words, "--output_dir", name, cwd=home)
    assert outcome.code == 0, outcome.stderr
    now, earlier = rows(home / "now.csv"), rows(EARLIER / name / "inference.csv")
    assert list(now[0])[: len(earlier[0])] == list(earlier[0])  # new columns follow
    shares = [column for column in earlier[0] if column.startswith("probability_")]
    assert len(shares) == 3
    for column in earlier[0]:
        found, held = ([row[column] for row in table] for table in (now, earlier))
        if column in shares:
            found, held = (np.array(texts, dtype=float) for texts in (found, held))
            np.testing.assert_allclose(found, held, rtol=0, atol=CLOSE, err_msg=column)
        else:
            assert found == held, column


@pytest.mark.parametrize("name", FINISHED)
def test_a_finished_run_resumed_has_nothing_to_do(name, bring, trainer, contents):
    home = bring("dataset", name)
    before = contents(home)
    words = ("--config", f"{name}/config.json", "--dataset_path", "dataset", "--output_dir", name)
    outcome = trainer(*CPU, *words, "--resume", cwd=home)
    assert outcome.code == 0, outcome.stderr
    assert contents(home) == before


def with_earlier_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a branch computed its logits when dropout was torch's, seeded for each micro-batch."""
    counts: Counter[tuple[str, int]] = Counter()
    places: dict[WindowGradients, tuple[int, str, int]] = {}
    window, logits = BranchTrainer._window, WindowGradients._logits

    def note_place(trainer: BranchTrainer, *of_the_window: torch.Tensor) -> None:
        places[trainer.gradients] = trainer.settings.seed, trainer.spec.name, trainer.epoch
        window(trainer, *of_the_window)

    def compute(gradients: WindowGradients, features: torch.Tensor) -> torch.Tensor:
        seed, name, epoch = places[gradients]
        torch.manual_seed(branch_seed(seed, name, epoch, counts[name, epoch]))
        counts[name, epoch] += 1
        gradients.branch.dropout.factors = None
        return logits(gradients, features)

    monkeypatch.setattr(BranchTrainer, "_window", note_place)
    monkeypatch.setattr(WindowGradients, "_logits", compute)


@pytest.mark.parametrize("name", ["shared_stopped", *slow("independent_stopped")])
def test_a_stopped_run_goes_on(name, bring, trainer, monkeypatch):
    with_earlier_dropout(monkeypatch)
    home = bring("dataset", name)
    progress = home / name / "resume" / "progress.json"
    assert (read(progress)["epoch"], read(progress)["finished"]) == (1, False)
    log, history = home / name / "train.log", rows(home / name / "history.csv")
    # As its user would: by the command that the stopped run named in its log.
    command = log.read_text(encoding="utf-8").partition("Go on with: ")[2].splitlines()[0]
    outcome = trainer(*shlex.split(command)[2:], cwd=home)
    assert outcome.code == 0, outcome.stderr
    assert "drew dropout for each micro-batch, this one for each step" in outcome.stderr
    assert (read(progress)["epoch"], read(progress)["finished"]) == (2, True)
    # With the seconds that it took: the first epoch was not trained again.
    kept = rows(home / name / "history.csv")[: len(history)]
    later = {"micro_batch": "", "rate_scale": ""}  # columns, which that version did not have
    assert kept == [row | later for row in history]

    outcome = trainer(*EVALUATE, "--output_dir", name, cwd=home)
    assert outcome.code == 0, outcome.stderr
    expected = EARLIER / "expected" / name
    for split in ("val", "test"):
        file = f"predictions_{split}.npz"
        assert_same_predictions(home / name / file, expected / file)
    assert_same_figures(read(home / name / "evaluation.json"), read(expected / "evaluation.json"))


@pytest.mark.usefixtures("blank_figures")
def test_model_analyzer_shows_the_classifiers(bring, monkeypatch, capsys):
    monkeypatch.chdir(bring(*FINISHED))
    words = ["--model", *FINISHED, "--output", "models.json"]
    assert analyze.main(words, "model_analyzer.py") == 0
    models = read(Path("models.json"))["models"]
    assert [held["architecture"] for held in models] == ["test_convnext", "test_efficientnet_ln"]
    assert [held["ovo_mode"] for held in models] == [*FINISHED]
    shown = capsys.readouterr().out
    assert all(held["architecture"] in shown for held in models)
    for held in models:
        kept = min(Path(held["folder"]).glob("*.json"))  # of the pair 0-1, or of all pairs
        assert held["complete"]
        assert held["synthetic"]
        assert [one["pair"] for one in held["classifiers"]] == [[0, 1], [0, 2], [1, 2]]
        assert held["classifiers"][0]["val_auc"] == read(kept)["metrics"]["pairs"][0]["val_auc"]
    assert all(Path(name, "learning_curves.png").is_file() for name in FINISHED)


@pytest.mark.usefixtures("blank_figures")
def test_models_are_compared(bring, monkeypatch, capsys):
    monkeypatch.chdir(bring(*FINISHED))
    assert compare.main(["--results_dirs", *FINISHED], "compare_models.py") == 0
    assert "SYNTHETIC" in capsys.readouterr().out
    held = read(Path("comparison", "comparison.json"))
    assert (held["n"], held["n_patients"]) == (16, 8)
    assert {model["name"] for model in held["models"]} == {*FINISHED}
    for model in held["models"]:
        evaluation = read(Path(model["name"], "evaluation.json"))
        for figure in ("accuracy", "quadratic_kappa", "macro_auc", "balanced_accuracy"):
            assert_same_figures(model[figure], evaluation[figure], figure)
        assert model["calibration"]["temperature"] == evaluation["calibration"]["temperature"]


@pytest.mark.usefixtures("blank_figures")
def test_all_reports_on_one_page(bring, monkeypatch, reports_here):
    monkeypatch.chdir(bring(*FINISHED))
    Path("criteria.toml").write_text(CRITERIA, encoding="utf-8")
    words = ["--results_dirs", *FINISHED, "--criteria", "criteria.toml"]
    assert report.main(words, "report.py") == 0
    page = Path("report.html").read_text(encoding="utf-8")
    assert all(name in page for name in (*FINISHED, "test_convnext", "test_efficientnet_ln"))
    assert "accuracy above 40 %" in page
    assert "SYNTHETIC" in page


@pytest.mark.slow
def test_a_report_says_once_that_they_are_unverified(tmp_path):
    words = [
        "strengths",
        "--results_dirs",
        str(EARLIER / "shared"),
        "--output",
        str(tmp_path / "r"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "dr_ovo", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("of an earlier version") == 1
