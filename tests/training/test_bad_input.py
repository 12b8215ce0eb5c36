"""Mistakes found before training: one clear message, exit code 2, nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import huggingface_hub
import numpy as np
import pytest
import torch

from dr_ovo.models.backbone import create_backbone

PHOTOGRAPH = "train/2/train-2-1.jpeg"


@pytest.fixture
def data(tmp_path, draw_dataset) -> Path:
    return draw_dataset(tmp_path / "data")


@pytest.fixture
def refused(small, trainer, tmp_path):
    """Trains with the given flags, expects a refusal, and returns its message."""

    def attempt(*flags: object, data: Path | str = "data") -> str:
        outcome = trainer(
            *small, "--dataset_path", data, "--output_dir", "out", "--epochs", 1, *flags,
            cwd=tmp_path,
        )  # fmt: skip
        assert outcome.code == 2, outcome.stderr
        assert outcome.stderr.startswith("error: ")
        assert "Traceback" not in outcome.stderr
        assert "epoch" not in outcome.stdout
        assert not (tmp_path / "out").exists()
        return outcome.stderr

    return attempt


def test_a_dataset_folder_that_is_missing(refused):
    message = refused(data="gone")
    assert "gone does not exist" in message
    assert "--dataset_path" in message


def test_a_split_that_is_missing(data, refused):
    shutil.rmtree(data / "val")
    message = refused()
    assert "has no val folder" in message
    assert "test, train" in message  # the ones it has


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("how", ["empty", "absent"])
def test_a_grade_without_images(split, how, data, refused):
    shutil.rmtree(data / split / "3")
    if how == "empty":
        (data / split / "3").mkdir()
    assert f"no images in {split}/3" in refused()


@pytest.mark.slow
def test_a_grade_without_images_in_test_is_no_mistake(data, small, trainer, tmp_path):
    shutil.rmtree(data / "test" / "3")
    words = (*small, "--dataset_path", data, "--output_dir", tmp_path / "out", "--epochs", 1)
    assert trainer(*words).code == 0


def test_folders_that_are_no_grades(data, refused):
    (data / "train" / "7").mkdir()
    message = refused()
    assert "not a grade: 7" in message
    assert "--num_classes" in message


def test_another_number_of_grades(refused, data):
    assert "--num_classes" in refused("--num_classes", 3)
    assert "train/5" in refused("--num_classes", 6)


def link_to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "zero bytes": (lambda path: path.write_bytes(b""), "zero bytes"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-50]), "truncated"),
    "no image": (lambda path: path.write_text("a text"), "train-2-1.jpeg"),
    "10x10": (
        lambda path: cv2.imwrite(str(path), np.zeros((10, 10, 3), np.uint8)),
        "only 10x10 pixels",
    ),
    "unreadable": (link_to_nowhere, "can't be read"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_image(damage, data, refused):
    spoil, reason = DAMAGE[damage]
    spoil(data / PHOTOGRAPH)
    message = refused()
    assert PHOTOGRAPH in message
    assert reason in message
    assert "--skip_damaged" in message


def test_all_damaged_files_are_listed_at_once(data, refused):
    places = ["train/0/train-0-0.jpeg", "val/1/val-1-2.jpeg", "test/4/test-4-1.jpeg"]
    for number, place in enumerate(places):
        list(DAMAGE.values())[number][0](data / place)
    (data / "train" / "2" / "notes.txt").write_text("not a photograph")
    message = refused()
    assert all(place in message for place in [*places, "train/2/notes.txt"])


@pytest.mark.slow
def test_skipping_damaged_files_goes_on_and_records_them(data, small, trainer, tmp_path):
    (data / PHOTOGRAPH).write_bytes(b"")
    (data / "val" / "2" / "notes.txt").write_text("not a photograph")
    folder = tmp_path / "out"
    words = (*small, "--dataset_path", data, "--output_dir", folder, "--epochs", 1)
    outcome = trainer(*words, "--skip_damaged")
    assert outcome.code == 0, outcome.stderr
    config = json.loads((folder / "config.json").read_text())
    assert sorted(Path(row["file"]).name for row in config["skipped_images"]) == [
        "notes.txt",
        "train-2-1.jpeg",
    ]
    assert all(row["reason"] for row in config["skipped_images"])
    assert config["counts"]["train"]["2"] == 2
    assert "Continuing without 2 damaged files" in outcome.stderr
    assert "train-2-1.jpeg" in (folder / "train.log").read_text() + outcome.stderr


def test_skipping_must_leave_something(data, refused):
    for path in (data / "val" / "1").iterdir():
        path.write_bytes(b"")
    assert "val/1" in refused("--skip_damaged")


@pytest.mark.slow
def test_weights_that_do_not_fit(data, refused, tmp_path):
    other = tmp_path / "other.pth"
    torch.save(create_backbone("test_resnet", 32, weights=None).state_dict(), other)
    message = refused("--pretrained_path", other)
    assert "do not fit test_efficientnet" in message
    assert len(message) < 1500  # not the names of all tensors


@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_weights_that_can_not_be_read(content, data, refused, tmp_path):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    assert str(path) in refused("--pretrained_path", path)


def test_pretrained_weights_that_can_not_be_downloaded(data, trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    outcome = trainer(
        "--base_models", "test_convnext2", "--dataset_path", data, "--output_dir", "out",
        "--device", "cpu", "--img_size", 64, cwd=tmp_path,
    )  # fmt: skip
    assert outcome.code == 2
    message = outcome.stderr
    assert "could not be downloaded" in message
    assert "model.safetensors" in message  # the file
    assert "--pretrained_path /path/to/" in message  # where it goes
    assert "--no-pretrained" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--batch_size 0", "--batch_size 0: expected at least 1"),
        ("--batch_size two", "'two' is not a whole number"),
        ("--learning_rate nan", "--learning_rate"),
        ("--scheduler step", "cosine, linear, plateau, none"),
        ("--batchsize 4", "Did you mean --batch_size"),
        ("--base_models densnet121", "densenet121"),
        ("--img_size 17 --base_models test_vit --pretrained_path x", "Nearest: "),
        ("--device cuda:97", "cuda:97"),
        ("--device tpu", "auto, cpu, cuda"),
        ("--pairs 0-1", "--ovo_mode independent"),
        ("--ovo_mode independent --pairs 0-9", "0-9"),
        ("--log_file data", "--log_file data"),
    ],
)
def test_settings_that_can_not_be(flags, message, data, refused):
    assert message in refused(*flags.split())


def test_no_model_is_named(data, trainer, tmp_path):
    outcome = trainer("--dataset_path", data, "--device", "cpu", cwd=tmp_path)
    assert outcome.code == 2
    assert "--base_models is missing" in outcome.stderr


def test_one_bad_model_stops_all_before_the_first(data, refused, small_weights):
    message = refused("--base_models", "test_efficientnet", "test_resnet")
    assert "do not fit test_resnet" in message
