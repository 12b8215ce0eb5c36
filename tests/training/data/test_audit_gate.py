"""Leaks stop a training, or mark everything that it writes."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
import torch

from dr_ovo.audit.measurement_cache import FOLDER
from dr_ovo.predictions.predictions_file import load_predictions
from tests.fixtures.trainings import stop_after_each_epoch


@pytest.fixture
def leaky(tiny_dataset, tmp_path):
    """The drawn dataset with an image of train copied to test."""
    folder = shutil.copytree(tiny_dataset, tmp_path / "balanced_enhanced")
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    source = min((folder / "train" / "1").iterdir())
    shutil.copyfile(source, folder / "test" / "1" / "copied.jpeg")
    return folder


@pytest.fixture
def words(leaky, small, tmp_path):
    return (
        *small, "--dataset_path", leaky, "--output_dir", tmp_path / "out", "--epochs", "1",
    )  # fmt: skip


@pytest.mark.parametrize("flags", [(), ("--dry_run",)])
def test_leaks_stop_a_training(flags, words, trainer, leaky, tmp_path):
    outcome = trainer(*words, *flags)
    assert outcome.code == 3
    assert "exact_copy" in outcome.stderr
    assert "copied.jpeg" in outcome.stderr
    assert f"prepare_dataset.py --from_tree {leaky} --output {leaky}_clean" in outcome.stderr
    assert "--allow_leaks" in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_allowed_leaks_mark_everything(words, trainer, tmp_path, leaky):
    outcome = trainer(*words, "--allow_leaks")
    assert outcome.code == 0
    assert "LEAKY" in outcome.stdout
    folder = tmp_path / "out"
    config = json.loads((folder / "config.json").read_text())
    assert config["leaky"] is True
    assert config["audit"]["leaks"] == 1
    (path,) = (folder / "models").glob("*.pth")
    assert torch.load(path, weights_only=True)["leaky"] is True
    assert json.loads(path.with_suffix(".json").read_text())["leaky"] is True
    given = ("--dataset_path", leaky, "--output_dir", folder, "--device", "cpu")
    outcome = trainer("--mode", "evaluate", *given, "--num_workers", 0)
    assert outcome.code == 0
    assert "LEAKY" in outcome.stdout
    for name in ("evaluation.json", "evaluation_val.json"):
        assert json.loads((folder / name).read_text())["leaky"] is True
    assert json.loads((folder / "calibration.json").read_text())["leaky"] is True
    for split in ("val", "test"):
        predictions = load_predictions(folder / f"predictions_{split}.npz")
        assert "LEAKY" in predictions.marks.tolist()
    assert "LEAKY" in (folder / "train.log").read_text()
    given = ("--output_dir", folder, "--device", "cpu", "--num_workers", 0)
    assert trainer("--mode", "inference", *given, "--input", leaky / "test").code == 0
    rows = list(csv.DictReader((folder / "inference.csv").open()))
    assert rows
    assert all("LEAKY" in row["marks"] for row in rows)


def test_leaks_that_a_start_without_a_state_allowed_stop_the_next(words, trainer, monkeypatch):
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dr_ovo.training.pipeline.fit", die)
        assert trainer(*words, "--allow_leaks").code == 130
    outcome = trainer(*words, "--resume")
    assert outcome.code == 3, outcome.stderr
    assert "exact_copy" in outcome.stderr
    assert trainer(*words, "--resume", "--allow_leaks").code == 0


@pytest.mark.slow
def test_weights_of_a_leaky_checkpoint_mark_what_is_trained_from_them(
    words, trainer, tmp_path, small, tiny_dataset
):
    assert trainer(*words, "--allow_leaks").code == 0
    (path,) = (tmp_path / "out" / "models").glob("*.pth")
    clean = ("--dataset_path", tiny_dataset, "--output_dir", tmp_path / "next", "--epochs", "1")
    outcome = trainer(*small, *clean, "--pretrained_path", path)
    assert outcome.code == 0
    assert "LEAKY weights" in outcome.stdout
    config = json.loads((tmp_path / "next" / "config.json").read_text())
    assert (config["leaky"], config["audit"]["leaks"]) == (True, 0)


def test_a_quick_look_audits_every_file(words, trainer, leaky):
    # More than the eight images per grade and split that --debug_mode reads.
    for number in range(8):
        shutil.copyfile(
            min((leaky / "test" / "0").iterdir()), leaky / "test" / "1" / f"{number}.jpeg"
        )
    assert trainer(*words, "--debug_mode").code == 3


def test_evaluation_on_other_files_than_were_audited_says_so(
    small, trainer, tiny_dataset, tmp_path
):
    data = shutil.copytree(tiny_dataset, tmp_path / "data")
    given = ("--dataset_path", data, "--output_dir", tmp_path / "out")
    assert trainer(*small, *given, "--epochs", "1").code == 0
    words = ("--mode", "evaluate", *given, "--device", "cpu", "--num_workers", 0)
    outcome = trainer(*words)
    assert "training audited" not in outcome.stdout + outcome.stderr
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["audited"] is True
    shutil.copyfile(min((data / "train" / "1").iterdir()), data / "test" / "1" / "copied.jpeg")
    outcome = trainer(*words)
    assert outcome.code == 0
    assert "these are not the files that its training audited" in outcome.stderr
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["audited"] is False


def test_a_clean_set_is_not_marked(small, trainer, tiny_dataset, tmp_path):
    outcome = trainer(
        *small, "--dataset_path", tiny_dataset, "--output_dir", tmp_path / "out", "--epochs", "1"
    )
    assert outcome.code == 0
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["leaky"] is False
    assert "balanced_prevalence (warning)" in config["audit"]["findings"]
    assert "LEAKY" not in outcome.stdout


@pytest.mark.slow
def test_a_resumed_run_is_audited_again_only_when_files_changed(
    words, trainer, leaky, tmp_path, monkeypatch
):
    (leaky / "test" / "1" / "copied.jpeg").unlink()
    with monkeypatch.context() as patch:
        stop_after_each_epoch(patch)
        assert trainer(*words, "--epochs", "2").code == 130
    source = min((leaky / "train" / "1").iterdir())
    shutil.copyfile(source, leaky / "test" / "1" / "copied.jpeg")
    assert trainer(*words, "--epochs", "2", "--resume").code == 3
    (leaky / "test" / "1" / "copied.jpeg").unlink()

    def refuse(*_arguments: object, **_settings: object) -> None:
        raise AssertionError("audited again")

    monkeypatch.setattr("dr_ovo.training.data.audit_gate.audit", refuse)
    assert trainer(*words, "--epochs", "2", "--resume").code == 0


@pytest.mark.slow
def test_a_dry_run_leaves_nothing_in_the_dataset(words, trainer, leaky, tmp_path):
    (leaky / "test" / "1" / "copied.jpeg").unlink()
    before = sorted(leaky.rglob("*"))
    assert trainer(*words, "--dry_run").code == 0
    assert sorted(leaky.rglob("*")) == before
    assert not (tmp_path / "out").exists()
