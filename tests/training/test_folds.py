"""`--folds` where grades are rare: in folds, and in val."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.predictions.predictions_file import load_predictions

QUICK = ("--num_classes", 3, "--epochs", 1, "--warmup_epochs", 0)


@pytest.fixture
def members(small, trainer, tmp_path):
    """Trains the members of the given number of folds, each for an epoch."""

    def run(dataset: Path, folds: int, *flags: object):
        return trainer(
            *small, "--dataset_path", dataset, "--output_dir", tmp_path / "out",
            "--folds", folds, *QUICK, *flags,
        )  # fmt: skip

    return run


def test_a_fold_without_either_grade_of_a_pair(members, draw_dataset, tmp_path):
    """Grades 1 and 2 have two patients each: one of five folds has none of them."""
    data = draw_dataset(tmp_path / "data", grades=3, images=5)
    for grade in "12":
        for split, kept in (("train", 1), ("val", 1)):
            for extra in sorted((data / split / grade).iterdir())[kept:]:
                extra.unlink()
    outcome = members(data, 5, "--ovo_mode", "independent")
    assert outcome.code == 0, outcome.stderr
    oof = load_predictions(tmp_path / "out" / "predictions_oof.npz")
    assert np.bincount(oof.targets).tolist() == [10, 2, 2]
    (folder,) = [
        fold
        for fold in sorted((tmp_path / "out").glob("fold_*"))
        if json.loads((fold / "config.json").read_text())["counts"]["val"]["1"] == 0
        and json.loads((fold / "config.json").read_text())["counts"]["val"]["2"] == 0
    ]
    with (folder / "history.csv").open(newline="") as file:
        rows = {row["branch"]: row for row in csv.DictReader(file)}
    measured = ("val_loss", "val_accuracy", "val_auc", "val_kappa")
    assert [rows["1_2"][name] for name in measured] == ["", "", "", ""]
    assert float(rows["1_2"]["train_loss"]) > 0
    assert float(rows["0_1"]["val_loss"]) > 0
    assert "1_2  loss" in outcome.stdout
    assert "val loss -  val accuracy -" in outcome.stdout
