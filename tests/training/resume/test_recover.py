"""`--recover`: a way on when numbers went bad, from the last good state at half the rate."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from dr_ovo.files import file_sha256
from dr_ovo.sealed_json import write_sealed
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.guarded_optimizer import GuardedOptimizer
from tests.fixtures.trainings import stop_after_each_epoch


@pytest.fixture(scope="module")
def words(small, three_grades) -> tuple[object, ...]:
    return (
        *small, "--dataset_path", three_grades, "--num_classes", 3, "--allow_leaks", "--epochs", 3,
        "--batch_size", 2, "--gradient_accumulation_steps", 2, "--learning_rate", "1e-3",
        "--warmup_epochs", 0, "--train_sample", 0,
    )  # fmt: skip


@pytest.fixture
def going_bad(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Gradients that are NaN in the fifth step, the second of epoch 2, at rates above `limit`."""
    settings = {"limit": 0.0, "steps": 0}
    step = GuardedOptimizer.step

    def bad_step(optimizer: GuardedOptimizer, rate: float) -> None:
        state = next(iter(optimizer.adamw.state.values()), {"step": torch.zeros(())})
        if int(state["step"]) == 4 and rate > settings["limit"]:
            optimizer.parameters[0].grad.fill_(torch.nan)
        step(optimizer, rate)

    monkeypatch.setattr(GuardedOptimizer, "step", bad_step)
    return settings


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_half_the_rate_and_half_again(words, going_bad, trainer, tmp_path):
    words = (*words, "--output_dir", tmp_path)
    first = trainer(*words)
    assert first.code == 4
    assert "--resume --recover" in first.stderr
    assert trainer(*words, "--resume").code == 4  # the same again

    going_bad["limit"] = 2.6e-4  # below half the rate, above a quarter of it
    half = trainer(*words, "--resume", "--recover")
    assert half.code == 4
    assert "resuming after epoch 1, at 0.5 times the learning rate" in half.stdout
    quarter = trainer(*words, "--resume", "--recover")
    assert quarter.code == 0, quarter.stderr
    assert "at 0.25 times the learning rate" in quarter.stdout

    rows = history(tmp_path)
    assert [row["rate_scale"] for row in rows] == ["1.0", "0.25", "0.25"]
    config = read(tmp_path / "config.json")
    assert [entry["rate_scale"] for entry in config["recovered"]] == [0.5, 0.25]
    assert config["settings"]["learning_rate"] == 1e-3


@pytest.mark.slow
def test_the_rate_stays_halved_over_a_stop(words, going_bad, trainer, tmp_path, monkeypatch):
    words = (*words, "--output_dir", tmp_path)
    assert trainer(*words).code == 4
    going_bad["limit"] = 1.0
    with monkeypatch.context() as patch:
        stop_after_each_epoch(patch)
        assert trainer(*words, "--resume", "--recover").code == 130
    outcome = trainer(*words, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert "at 0.5 times the learning rate" in outcome.stdout
    assert [row["rate_scale"] for row in history(tmp_path)] == ["1.0", "0.5", "0.5"]


@pytest.mark.slow
def test_it_goes_back_further_from_a_state_that_failed(words, going_bad, trainer, tmp_path):
    words = (*words, "--output_dir", tmp_path, "--save_every", "0.000001")
    assert trainer(*words).code == 4
    newest, before = (branch_state(tmp_path, name) for name in ("progress.json", "previous.json"))
    for _ in range(2):
        assert trainer(*words, "--resume", "--recover").code == 4
    assert tried(tmp_path) == [[newest["sha256"]], [before["sha256"]]]
    # From there it came to a new state under the name of the one that failed.
    again = branch_state(tmp_path, "progress.json")
    assert again["file"] == newest["file"]
    assert again["sha256"] != newest["sha256"]
    assert trainer(*words, "--resume", "--recover").code == 4
    assert tried(tmp_path)[2:] == [[again["sha256"]]]


def branch_state(folder: Path, name: str) -> dict[str, Any]:
    """What progress.json, or another file of that kind, says of the only branch."""
    return read(folder / "resume" / name)["branches"]["ovo"]


def tried(folder: Path) -> list[list[str]]:
    """The sha256 of the states from which `--recover` went on."""
    return [entry["sha256"] for entry in read(folder / "config.json")["recovered"]]


@pytest.mark.slow
def test_it_goes_back_further_from_bad_weights(words, going_bad, trainer, tmp_path):
    words = (*words, "--output_dir", tmp_path, "--save_every", "0.000001")
    assert trainer(*words).code == 4
    previous = branch_state(tmp_path, "previous.json")["sha256"]
    named = tmp_path / "resume" / "progress.json"
    content = read(named)
    newest = content["branches"]["ovo"]
    state = torch.load(tmp_path / "resume" / newest["file"], weights_only=True)
    state["branch"]["head.weight"][0, 0] = torch.inf
    torch.save(state, tmp_path / "resume" / newest["file"])
    newest["sha256"] = file_sha256(tmp_path / "resume" / newest["file"])
    write_sealed(named, content)
    going_bad["limit"] = 1.0
    outcome = trainer(*words, "--resume", "--recover")
    assert outcome.code == 0, outcome.stderr
    assert "going back to an older state" in outcome.stdout
    assert tried(tmp_path) == [[previous]]


@pytest.mark.slow
def test_nothing_kept_begins_anew_at_half_the_rate(words, going_bad, trainer, tmp_path):
    words = (*words, "--batch_size", 1, "--gradient_accumulation_steps", 1, "--epochs", 1)
    words = (*words, "--output_dir", tmp_path)
    assert trainer(*words).code == 4  # in the fifth step of twelve: no state is kept yet
    for scale in (0.5, 0.25):
        going_bad["limit"] = 0.0 if scale == 0.5 else 1.0
        outcome = trainer(*words, "--resume", "--recover")
        assert outcome.code == (4 if scale == 0.5 else 0), outcome.stderr
        config = read(tmp_path / "config.json")
        assert config["recovered"][-1]["rate_scale"] == scale
    assert [row["rate_scale"] for row in history(tmp_path)] == ["0.25"]


@pytest.mark.slow
def test_the_older_state_goes_on_at_the_halved_rate_too(words, going_bad, trainer, tmp_path):
    words = (*words, "--output_dir", tmp_path, "--save_every", "0.000001")
    assert trainer(*words).code == 4
    assert trainer(*words, "--resume", "--recover").code == 4
    going_bad["limit"] = 1.0
    newest = read(tmp_path / "resume" / "progress.json")["branches"]["ovo"]["file"]
    (tmp_path / "resume" / newest).write_bytes(b"")
    outcome = trainer(*words, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert "goes on from an older state" in outcome.stderr
    assert {row["rate_scale"] for row in history(tmp_path)[1:]} == {"0.5"}


def test_bad_gradients_are_seen_before_a_state_is_kept_for_a_signal(
    words, trainer, tmp_path, monkeypatch
):
    # As on a GPU, where no step looks at whether the one before it was finite.
    monkeypatch.setattr(BranchTrainer, "_optimizer_step", without_looking)
    step = GuardedOptimizer.step
    steps = []

    def bad_step(optimizer: GuardedOptimizer, rate: float) -> None:
        steps.append(rate)
        if len(steps) == 5:
            optimizer.parameters[0].grad.fill_(torch.nan)
        step(optimizer, rate)
        if len(steps) == 5:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(GuardedOptimizer, "step", bad_step)
    outcome = trainer(*words, "--output_dir", tmp_path)
    assert outcome.code == 4
    assert "no longer finite" in outcome.stderr
    assert "within" not in read(tmp_path / "resume" / "progress.json")


def without_looking(trainer: BranchTrainer, images: int) -> None:
    trainer.rate = trainer.schedule.rate(trainer.steps)
    trainer.optimizer.step(trainer.rate)
    trainer.steps += 1
    trainer.done += images


def test_it_needs_a_training_to_resume(words, trainer, tmp_path):
    outcome = trainer(*words, "--output_dir", tmp_path / "out", "--recover")
    assert outcome.code == 2
    assert "--recover: expected with --resume" in outcome.stderr
    assert not (tmp_path / "out").exists()
