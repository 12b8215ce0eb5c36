"""Evaluation from the command line: quality in the predictions, metrics per patient."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.quality import DISC_SIDE, quality_of
from dr_ovo.predictions.predictions_file import load_predictions

SETTINGS = (
    "--base_models", "test_efficientnet", "--no-pretrained", "--img_size", 32, "--device", "cpu",
    "--epochs", 1, "--train_sample", 0, "--batch_size", 8,
    "--preprocessing", "disc_crop", "ben_graham",
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset(idrid_small, tmp_path_factory) -> Path:
    """A few photographs of IDRiD, named as pairs of eyes; the last one of each split is single."""
    folder = tmp_path_factory.mktemp("eyes") / "data"
    for number, split in enumerate(("train", "val", "test")):
        paths = [p for g in range(5) for p in sorted((idrid_small / split / str(g)).iterdir())[:3]]
        for position, path in enumerate(paths[:-1]):
            eye = ("left", "right")[position % 2]
            target = folder / split / path.parent.name / f"{number}{position // 2}_{eye}.jpeg"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return folder


@pytest.fixture(scope="module")
def evaluated(dataset, trainer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    places = ("--dataset_path", dataset, "--output_dir", folder, "--num_workers", 0)
    trained = trainer("--mode", "train", *SETTINGS, *places)
    assert trained.code == 0, trained.stderr
    outcome = trainer("--mode", "evaluate", "--patient_level", *places)
    assert outcome.code == 0, outcome.stderr
    (folder / "said.txt").write_text(outcome.stdout)
    return folder


def test_predictions_hold_the_quality_of_each_photograph(evaluated, dataset):
    loaded = load_predictions(evaluated / "predictions_test.npz")
    expected = [
        quality_of(decode_image(dataset / "test" / name, DISC_SIDE)).score
        for name in loaded.sample_ids
    ]
    assert loaded.quality == pytest.approx(expected)
    assert not np.isnan(loaded.quality).any()


def test_the_report_has_both_blocks_and_they_are_printed(evaluated):
    report = json.loads((evaluated / "evaluation.json").read_text())
    loaded = load_predictions(evaluated / "predictions_test.npz")
    assert report["by_quality"]["n_known"] == report["n"] == len(loaded.targets)
    patients = len(np.unique(loaded.patient_ids))
    assert report["patient_level"]["n_patients"] == patients < report["n"]
    output = (evaluated / "said.txt").read_text()
    assert f"Per patient, by the worse eye: {patients} patients" in output
    assert "third of quality" in output


def test_the_checkpoint_holds_the_steps(evaluated):
    (path,) = (evaluated / "models").glob("best_*.json")
    loaded = json.loads(path.read_text())
    assert loaded["preprocessing"]["ben_graham"] is True
    assert loaded["preprocessing"]["clahe"] is False
    assert loaded["preprocessing"]["version"] == 2
    assert len(loaded["preprocessing_hash"]) == 16
