"""The seven wrappers train, on real photographs."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.slow import slow
from tests.fixtures.trainings import one_thread, trainer

__all__ = ["one_thread", "trainer"]

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "ensemble_5class_trainer.py"
# Wrapper -> short name in its results folder, timm model, input size, frozen stages.
WRAPPERS = {
    "coatnet": ("coatnet", "coatnet_0_rw_224", 224, 2),
    "convnext": ("convnext", "convnext_tiny", 224, 2),
    "swinv2": ("swinv2", "swinv2_tiny_window8_256", 256, 2),
    "densenet": ("densenet121", "densenet121", 384, 0),
    "efficientnet": ("efficientnetb2", "efficientnet_b2", 384, 0),
    "resnet": ("resnet50", "resnet50", 224, 0),
    "seresnext": ("seresnext50", "seresnext50_32x4d", 224, 0),
}
SMALL = ("--img_size", "64", "--train_sample", "0", "--debug_mode")
SPLITS = {"train": 2, "val": 1, "test": 1}  # photographs of each grade


def start(name: str, home: Path, data: Path, python: Path, *flags: str) -> str:
    """Runs a wrapper in `home` for one epoch, with the given Python; returns what it printed."""
    command = [ROOT / f"train_{name}.sh", "--dataset_path", data, "--epochs", "1"]
    command += ["--no_pretrained", "--device", "cpu", *flags]
    own_variables = [name for name in os.environ if name.startswith("DR_OVO_")]
    environment = {key: value for key, value in os.environ.items() if key not in own_variables}
    outcome = subprocess.run(
        [str(word) for word in command],
        cwd=home,
        env=environment | {"PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def run(name: str, home: Path, data: Path, *flags: str) -> None:
    """Runs a wrapper in `home` for one epoch, in its own processes."""
    start(name, home, data, Path(sys.executable), *flags)


def check(name: str, home: Path, size: int) -> None:
    """Checks the results of a wrapper's epoch: a checkpoint with ten pairs, log and history."""
    alias, model, _, frozen = WRAPPERS[name]
    folder = home / f"{alias}_5class_results"
    (weights,) = (folder / "models").glob("*.pth")
    assert weights.name == f"best_{model}_ovo.pth"
    meta = json.loads(weights.with_suffix(".json").read_text())
    assert meta["input"]["size"] == size
    assert meta["freeze_stages"] == frozen
    assert len(meta["pairs"]) == 10
    assert 0 < meta["trained_parameters"] <= meta["parameters"]
    with (folder / "history.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["val_loss"]) > 0
    log = (home / f"{name}_training_log.txt").read_text()
    assert "epoch 1/1" in log
    assert log.splitlines()[-1].endswith(f"done: {alias}_5class_results")


@pytest.fixture(scope="module")
def photographs(idrid_small, tmp_path_factory) -> Path:
    """Some of idrid_small, beside which all runs keep what they have measured and decoded."""
    data = tmp_path_factory.mktemp("copy") / "idrid_small"
    for split, count in SPLITS.items():
        for grade in sorted((idrid_small / split).iterdir()):
            (data / split / grade.name).mkdir(parents=True)
            for file in sorted(grade.glob("*.jpg"))[:count]:
                shutil.copy(file, data / split / grade.name)
    return data


@pytest.fixture
def echo(tmp_path) -> Path:
    """A Python that prints its folder and its arguments, each with a zero byte after it."""
    path = tmp_path / "echo"
    path.write_text('#!/bin/sh\nprintf \'%s\\0\' "$PWD" "$@"\n')
    path.chmod(0o755)
    return path


# CoAtNet's is trained on drawn pictures by tests/test_commands.py, and by the slow test below.
@pytest.mark.parametrize(
    "name", ["efficientnet", *slow("convnext", "swinv2", "densenet", "resnet", "seresnext")]
)
def test_a_wrapper_runs_through_on_small_pictures(name, tmp_path, photographs, echo, trainer):
    """What a wrapper starts is run in this process, which has torch and timm already."""
    folder, script, *words, end = start(name, tmp_path, photographs, echo, *SMALL).split("\0")
    assert (Path(folder), Path(script), end) == (tmp_path, SCRIPT, "")
    outcome = trainer(*words, cwd=tmp_path)
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    check(name, tmp_path, 64)


@pytest.mark.slow
def test_a_wrapper_runs_through_in_its_own_processes(tmp_path, photographs):
    run("resnet", tmp_path, photographs, *SMALL)
    check("resnet", tmp_path, 64)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_runs_through(name, tmp_path, idrid_small):
    run(name, tmp_path, idrid_small)
    check(name, tmp_path, WRAPPERS[name][2])
