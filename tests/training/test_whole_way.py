"""From raw photographs and a CSV of grades, laid out as in published sets, to results on test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.prepare.command_line import parse_options
from dr_ovo.prepare.pipeline import prepare
from dr_ovo.synthetic.folder import SUMMARY, write_dataset


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic photographs of both eyes of 40 patients, `<grade>/<patient>_<eye>.jpeg`."""
    folder = tmp_path_factory.mktemp("drawn") / "set"
    write_dataset(folder, {"train": 40}, size=112, seed=5)
    return folder


def eyepacs(drawn: Path, folder: Path) -> tuple[Path, Path]:
    """`train/<patient>_<eye>.jpeg` and `image,level`."""
    images = folder / "train"
    images.mkdir()
    shutil.copy(drawn / SUMMARY, images)  # marks them as synthetic
    rows = ["image,level"]
    for path in sorted(drawn.rglob("*.jpeg")):
        shutil.copy(path, images)
        rows.append(f"{path.stem},{path.parent.name}")
    labels = folder / "trainLabels.csv"
    labels.write_text("\n".join(rows))
    return images, labels


def aptos(drawn: Path, folder: Path) -> tuple[Path, Path]:
    """`train_images/<hexadecimal>.png`, which don't identify patients, and `id_code,diagnosis`."""
    images = folder / "train_images"
    images.mkdir()
    shutil.copy(drawn / SUMMARY, images)
    rows = ["id_code,diagnosis"]
    for number, path in enumerate(sorted(drawn.rglob("*_left.jpeg"))):
        name = f"{number * 7919:012x}"
        cv2.imwrite(str(images / f"{name}.png"), cv2.imread(str(path)))
        rows.append(f"{name},{path.parent.name}")
    labels = folder / "train.csv"
    labels.write_text("\n".join(rows))
    return images, labels


@pytest.mark.slow
@pytest.mark.parametrize(("published", "patients"), [(eyepacs, True), (aptos, False)])
def test_prepared_trained_and_evaluated(published, patients, drawn, small, trainer, tmp_path):
    images, labels = published(drawn, tmp_path)
    data, out = tmp_path / "set", tmp_path / "out"
    words = ("--images", images, "--labels", labels, "--output", data, "--balance")
    assert prepare(parse_options([str(word) for word in words])) == 0

    given = ("--dataset_path", data, "--output_dir", out)
    outcome = trainer(*small, *given, "--epochs", 1, "--sampler", "balanced")
    assert outcome.code == 0, outcome.stderr
    config = json.loads((out / "config.json").read_text())
    manifest = json.loads((data / "manifest.json").read_text())
    assert config["data_manifest_hash"] == manifest["hash"]
    assert (config["leaky"], config["synthetic"]) == (False, True)

    evaluation = ("--mode", "evaluate", *given, "--device", "cpu", "--num_workers", 0)
    outcome = trainer(*evaluation, "--patient_level")
    assert outcome.code == 0, outcome.stderr
    assert "SYNTHETIC" in outcome.stdout
    predictions = {
        name: load_predictions(out / f"predictions_{name}.npz") for name in ("val", "test")
    }
    for name, on_split in predictions.items():
        files = sorted(p.relative_to(data / name).as_posix() for p in (data / name).rglob("*.*g"))
        assert sorted(on_split.sample_ids.tolist()) == files
        assert on_split.marks.tolist() == ["SYNTHETIC"]
    assert not np.intersect1d(predictions["val"].patient_ids, predictions["test"].patient_ids).size
    counts = np.unique(predictions["test"].patient_ids, return_counts=True)[1]
    assert set(counts.tolist()) == ({2} if patients else {1})
    report = json.loads((out / "evaluation.json").read_text())
    assert report["n"] == len(predictions["test"].targets)
    assert report["audited"] is True
