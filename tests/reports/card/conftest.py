"""A results folder with all that a training and an evaluation record, without either."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dr_ovo.files import write_json
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.calibration_file import save_calibration
from dr_ovo.predictions.predictions_file import Predictions, save_predictions
from dr_ovo.results.evaluation_file import evaluation_report
from dr_ovo.results.folder import HISTORY_FIELDS, ResultsFolder
from dr_ovo.results.made_from import MADE_FROM, made_from
from dr_ovo.sealed_json import write_sealed
from tests.fixtures.predictions import drawn

HASH = "ab" * 32
SECRET = "/home/alice/secret"  # of the machine of the training: no part of a card
DESCRIPTOR = {
    "architecture": "resnet50", "epoch": 12, "parameters": 23_500_000,
    "trained_parameters": 23_000_000,
}  # fmt: skip
COUNTS = {str(grade): 10 + grade for grade in range(5)}


def config(name: str) -> dict[str, Any]:
    """config.json as a training writes it, as far as a card reads it."""
    settings = {
        "dataset_path": f"{SECRET}/{name}",
        "output_dir": f"{SECRET}/out",
        "pretrained_path": f"{SECRET}/weights.pth",
        "base_models": ["resnet50"],
        "head": "ovo",
        "ovo_mode": "shared",
        "img_size": 224,
        "pretrained": True,
        "epochs": 12,
        "keep_epoch": "last",
        "learning_rate": 0.0005,
        "min_lr": 1e-07,
        "seed": 7,
        "enable_focal_loss": True,
        "focal_loss_gamma": 2.0,
        "class_names": ["0", "1", "2", "3", "4"],
    }
    return {
        "schema": 1,
        "settings": settings,
        "sources": dict.fromkeys(settings, "command line") | {"seed": f"recipe {SECRET}/r.toml"},
        "recipes": [{"name": f"{SECRET}/r.toml"}],
        "effective": {"device": "cuda", "precision": "bfloat16", "threads": 8, "ranks": 1},
        "counts": {"train": COUNTS, "val": COUNTS, "test": COUNTS},
        "data_manifest_hash": HASH,
        "audit": {"leaks": 0, "findings": {"exact_copy (warning)": 2}},
        "preprocessing": {"size": 224, "clahe": False, "version": 1},
        "versions": {"dr_ovo": "0.1.0", "torch": "2.13.0"},
        "git_commit": "c0ffee",
        "skipped_images": [{"file": f"{SECRET}/a.jpg", "reason": "cut"}],
    }


def evaluate(folder: ResultsFolder, split: str, p: Predictions, source: Predictions) -> None:
    """Writes predictions and evaluation on a split, with the calibration fitted on `source`."""
    calibration = fit_calibration(source, [])
    save_calibration(folder.calibration, calibration)
    save_predictions(folder.predictions(split), p)
    report = evaluation_report(p, calibration, split)
    write_sealed(
        folder.evaluation(split), {**report, MADE_FROM: made_from(folder, {}, [split])[split]}
    )


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Path]:
    """Makes a results folder, evaluated on test or not: trained("name", evaluated=False)."""

    def make(name: str = "net_5class_results", *, evaluated: bool = True, **changes: Any) -> Path:
        folder = ResultsFolder(tmp_path / name)
        folder.root.mkdir(parents=True)
        content = config("idrid")
        content["settings"] |= changes.pop("settings", {})
        write_json(folder.config, content | changes)
        folder.models.mkdir()
        write_json(folder.models / "best_resnet50_ovo.json", DESCRIPTOR)
        rows = [dict.fromkeys(HISTORY_FIELDS, "") | {"epoch": 1, "branch": "ovo", "seconds": 90}]
        with folder.history.open("w", newline="") as file:
            writer = csv.DictWriter(file, HISTORY_FIELDS)
            writer.writeheader()
            writer.writerows(rows)
        if evaluated:
            eyes = np.array(["left", "right"] * 60)
            quality = np.linspace(0, 1, 120)
            test = replace(drawn(120, 2, seed=1), eyes=eyes, quality=quality)
            evaluate(folder, "test", test, drawn(200, seed=2))
        return folder.root

    return make
