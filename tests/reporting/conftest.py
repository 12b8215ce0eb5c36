"""Small checkpoints in the toolkit's own format."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dr_ovo.pairs import class_pairs, pair_name
from dr_ovo.reporting.simulated_results import simulate

ROW = {
    "n": 40,
    "val_accuracy": 0.925,
    "val_auc": 0.97,
    "val_sensitivity": 0.9,
    "val_specificity": 0.95,
    "train_accuracy": 0.955,
}


@pytest.fixture
def save() -> Callable[..., Path]:
    """Writes a checkpoint where the trainer puts it: save(folder, branch="ovo", **changes).

    `row` in the changes alters the figures of every pair.
    """

    def _save(folder: Path, branch: str = "ovo", **changes: Any) -> Path:
        pairs = class_pairs(5)
        if branch[0].isdecimal():
            pairs = [pair for pair in pairs if pair_name(pair) == branch]
        row = {**ROW, **changes.pop("row", {})}
        held = {
            "schema": 1,
            "toolkit": "dr_ovo",
            "architecture": "coatnet_0_rw_224",
            "head": branch if branch in ("softmax", "ordinal") else "ovo",
            "ovo_mode": "independent" if len(pairs) == 1 else "shared",
            "branch": branch,
            "class_names": ["0", "1", "2", "3", "4"],
            "num_classes": 5,
            "synthetic": False,
            "parameters": 26_700_000,
            "epoch": 7,
            "metrics": {
                "val_accuracy": 0.75,
                "val_auc": 0.9,
                "pairs": [{"pair": list(pair), **row} for pair in pairs],
            },
            "state_dict": {"head.weight": torch.zeros(10, 4), "head.bias": torch.zeros(10)},
            **changes,
        }
        path = folder / "models" / f"best_{held['architecture']}_{branch}.pth"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(held, path)
        return path

    return _save


@pytest.fixture
def independent(tmp_path: Path, save: Callable[..., Path]) -> Path:
    """A results folder with the ten files of an independent network."""
    folder = tmp_path / "independent_results"
    for pair in class_pairs(5):
        save(folder, pair_name(pair))
    return folder


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven simulated models' results folders, 120 test images of 60 patients. Read only."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, 60, 1)
    return folder


@pytest.fixture
def results(simulated: Path, tmp_path: Path) -> Callable[..., list[Path]]:
    """Copies of some simulated results folders that a test may change: results("coatnet", ...)."""

    def _results(*names: str) -> list[Path]:
        folders = [tmp_path / f"{name}_5class_results" for name in names]
        for folder in folders:
            shutil.copytree(simulated / folder.name, folder)
        return folders

    return _results
