"""`--mode inference`: grades for photographs without labels."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.predictions.predictions_file import load_predictions


@pytest.fixture(scope="module")
def words(small, tiny_dataset) -> tuple[object, ...]:
    return (*small, "--dataset_path", tiny_dataset, "--epochs", 2, "--learning_rate", "1e-2")


@pytest.fixture(scope="module")
def models(words, trainer, tiny_dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two architectures under one folder, trained and evaluated."""
    root = tmp_path_factory.mktemp("models") / "both"
    own = root / "test_efficientnet_5class_results"
    assert trainer(*words, "--output_dir", own).code == 0
    other = root / "test_resnet_5class_results"
    flags = ("--base_models", "test_resnet", "--pretrained_path", "", "--no-pretrained")
    plain = [word for word in words if word not in words[2:4]]
    assert trainer(*plain, *flags[:2], flags[-1], "--output_dir", other).code == 0
    evaluation = ("--mode", "evaluate", "--dataset_path", tiny_dataset, "--device", "cpu")
    both = ("--base_models", "test_efficientnet", "test_resnet", "--output_dir", root)
    assert trainer(*evaluation, *both).code == 0
    return root


@pytest.fixture(scope="module")
def one(models) -> tuple[object, ...]:
    """The flags of inference with one model."""
    folder = models / "test_efficientnet_5class_results"
    return ("--mode", "inference", "--device", "cpu", "--num_workers", 0, "--output_dir", folder)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def probabilities(found: list[dict[str, str]]) -> np.ndarray:
    return np.array([[float(row[f"probability_{grade}"]) for grade in range(5)] for row in found])


def test_grades_are_those_of_the_evaluation(one, models, trainer, tiny_dataset, tmp_path):
    output = tmp_path / "grades.csv"
    outcome = trainer(*one, "--input", tiny_dataset / "test", "--output", output)
    assert outcome.code == 0, outcome.stderr
    assert "15 photographs graded" in outcome.stdout
    assert "not a medical device" in outcome.stdout
    found = rows(output)
    assert list(found[0]) == ["file", "grade", *(f"probability_{grade}" for grade in range(5))]
    folder = models / "test_efficientnet_5class_results"
    known = load_predictions(folder / "predictions_test.npz")
    files = [Path(row["file"]).relative_to(tiny_dataset / "test").as_posix() for row in found]
    assert files == known.sample_ids.tolist()
    assert [int(row["grade"]) for row in found] == known.predicted.tolist()
    assert probabilities(found) == pytest.approx(known.probabilities, abs=1e-5)


def test_several_models_give_their_mean(models, trainer, tiny_dataset):
    outcome = trainer(
        "--mode", "inference", "--device", "cpu", "--num_workers", 0, "--base_models",
        "test_efficientnet", "test_resnet", "--output_dir", models, "--input",
        tiny_dataset / "test",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    found = rows(models / "inference.csv")
    known = load_predictions(models / "ensemble" / "predictions_test.npz")
    assert [int(row["grade"]) for row in found] == known.predicted.tolist()
    assert probabilities(found) == pytest.approx(known.probabilities, abs=1e-5)


def test_damaged_files_are_passed_over_and_listed(one, trainer, tiny_dataset, tmp_path):
    whole = tiny_dataset / "test" / "3" / "test-3-1.jpeg"
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(whole, folder / "whole.JPEG")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(whole.read_bytes()[:-100])
    cv2.imwrite(str(folder / "small.png"), np.zeros((10, 10, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("not a photograph")
    outcome = trainer(
        *one, "--input", folder, tmp_path / "notes.txt", "--output", tmp_path / "deep" / "out.csv"
    )
    assert outcome.code == 0
    assert "4 files can't be read and are left out" in outcome.stderr
    for name in ("empty.png", "cut.jpg", "small.png", "notes.txt"):
        assert name in outcome.stderr
    (row,) = rows(tmp_path / "deep" / "out.csv")
    assert Path(row["file"]) == folder / "whole.JPEG"


def test_nothing_that_can_be_read(one, trainer, tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    outcome = trainer(*one, "--input", tmp_path, "--output", tmp_path / "out.csv")
    assert outcome.code == 2
    assert "None of the --input files can be read" in outcome.stderr
    assert "empty.png" in outcome.stderr
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [((), "needs --input"), (("--input", "gone"), "gone"), (("--input", "."), "no images")],
)
def test_nothing_to_read(given, said, one, trainer, tmp_path):
    outcome = trainer(*one, *given, cwd=tmp_path)
    assert outcome.code == 2
    assert said in outcome.stderr


def test_the_decoder_chooses_the_grade(one, trainer, tiny_dataset, tmp_path):
    chosen = {}
    for decoder in ("coupling", "weighted", "vote"):
        output = tmp_path / f"{decoder}.csv"
        words = ("--input", tiny_dataset / "test", "--output", output, "--decoder", decoder)
        assert trainer(*one, *words).code == 0
        chosen[decoder] = rows(output)
    # Probabilities are always the coupled ones.
    assert probabilities(chosen["vote"]) == pytest.approx(probabilities(chosen["coupling"]))


@pytest.mark.parametrize("flags", ["--img_size 64", "--no-enable_clahe", "--head softmax"])
def test_a_flag_that_contradicts_the_checkpoint(flags, one, trainer, tiny_dataset, tmp_path):
    outcome = trainer(
        *one, "--input", tiny_dataset / "test", "--output", tmp_path / "out.csv", *flags.split()
    )
    assert outcome.code == 2
    assert "contradict the checkpoints" in outcome.stderr
    assert not (tmp_path / "out.csv").exists()
