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

ROOT = Path(__file__).resolve().parents[1]
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


def run(name: str, home: Path, data: Path, *flags: str) -> None:
    """Runs a wrapper in `home` for one epoch."""
    command = [ROOT / f"train_{name}.sh", "--dataset_path", data, "--epochs", "1"]
    command += ["--no_pretrained", "--device", "cpu", *flags]
    own_variables = [name for name in os.environ if name.startswith("DR_OVO_")]
    environment = {key: value for key, value in os.environ.items() if key not in own_variables}
    outcome = subprocess.run(
        [str(word) for word in command],
        cwd=home,
        env=environment | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


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
    """A copy of idrid_small, beside which all runs keep what they have measured and decoded."""
    return Path(shutil.copytree(idrid_small, tmp_path_factory.mktemp("copy") / "idrid_small"))


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_runs_through_on_small_pictures(name, tmp_path, photographs):
    run(name, tmp_path, photographs, *SMALL)
    check(name, tmp_path, 64)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_runs_through(name, tmp_path, idrid_small):
    run(name, tmp_path, idrid_small)
    check(name, tmp_path, WRAPPERS[name][2])
