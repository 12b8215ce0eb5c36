"""The card of a real training with `--folds`, of its members, and of an ensemble of others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from dr_ovo.reports.card.card import make_card
from dr_ovo.reports.card.facts import read_card_facts
from dr_ovo.results.folder import ResultsFolder
from tests.fixtures.sealed import edit
from tests.fixtures.trainings import one_thread, small, small_weights, trainer
from tests.reports.card.test_card import card, front, section

__all__ = ["one_thread", "small", "small_weights", "trainer"]


@pytest.fixture(scope="module")
def folds(tmp_path_factory, draw_dataset, small, trainer) -> Path:
    """Two folds of six pictures of each of three grades, out of fold only; read only."""
    folder = tmp_path_factory.mktemp("folds")
    data = draw_dataset(folder / "data", grades=3, images=3)
    outcome = trainer(
        *small, "--dataset_path", data, "--num_classes", 3, "--output_dir", folder / "out",
        "--folds", 2, "--epochs", 1,
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    return folder / "out"


def test_out_of_fold_alone(folds, caplog):
    text = card(folds)
    evaluation = json.loads((folds / "evaluation_oof.json").read_text())
    (result,) = front(text)["model-index"][0]["results"]
    assert result["dataset"]["split"] == "train and val, out of fold"
    values = {one["name"]: one["value"] for one in result["metrics"]}
    assert values["Accuracy"] == evaluation["accuracy"]["value"]
    assert "Test is not evaluated" in section(text, "Performance")
    assert "test is not evaluated" in section(text, "Work saved")
    assert "| networks | 2, one a fold; their mean |" in section(text, "Model")
    assert "fold_1/best_" in section(text, "Model")
    assert "2 folds by patient" in section(text, "Data partitions")
    assert "| kept in each checkpoint | 1, 1 |" in section(text, "Training")
    assert "not for 3 classes" in section(text, "Operating points")
    assert "can't be checked" not in text
    assert str(folds.parent) not in text
    assert not caplog.records


def test_a_member(folds):
    text = card(folds / "fold_1")
    assert front(text)["model-index"][0]["results"] == []
    assert "this network is that of fold 1" in section(text, "Data partitions")


def test_a_changed_member_is_refused(folds, tmp_path, command):
    copy = Path(shutil.copytree(folds, tmp_path / "copy"))
    edit(copy / "fold_2" / "config.json", lambda content: content.update(git_commit="other"))
    ended = command("reports.card", copy, folder=tmp_path)
    assert ended.returncode == 2
    assert "fold_2" in ended.stderr


@pytest.mark.slow
def test_an_ensemble_of_other_models(results, command, tmp_path):
    folders = results("coatnet", "resnet50")
    ended = command(
        "reports.ensemble", "--results_dirs", *folders, "--output", tmp_path / "both",
        "--export", tmp_path / "ensemble.json", folder=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    evaluated = ResultsFolder(tmp_path / "both").read_evaluation("test")
    found = make_card(read_card_facts(tmp_path / "both"), {})
    matter = yaml.safe_load(found.markdown.split("---\n")[1])
    values = {
        one["name"]: one["value"] for one in matter["model-index"][0]["results"][0]["metrics"]
    }
    assert values["Accuracy"] == evaluated["accuracy"]["value"]
    assert "base_model" not in matter
