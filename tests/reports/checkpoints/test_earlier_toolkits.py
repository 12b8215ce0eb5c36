from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dr_ovo.reports.checkpoints.reader import read_checkpoint
from dr_ovo.reports.checkpoints.record import Checkpoint, Classifier, UnreadableError

WEIGHTS = {
    "conv.weight": torch.zeros(4, 3),
    "bn.weight": torch.zeros(4),
    "bn.running_mean": torch.zeros(4),
    "bn.num_batches_tracked": torch.tensor(3),
}


def read(folder: Path, content: dict[str, Any], name: str = "best_densenet121_0_1") -> Checkpoint:
    torch.save(content, folder / f"{name}.pth")
    return read_checkpoint(folder / f"{name}.pth")


def classifier_of(folder: Path, **content: Any) -> Classifier:
    return read(folder, {"model_state_dict": WEIGHTS, **content}).classifiers[0]


@pytest.mark.parametrize(
    ("name", "architecture", "pair"),
    [
        ("best_densenet121_0_1", "densenet121", (0, 1)),
        ("best_coatnet_0_rw_224_2_4", "coatnet_0_rw_224", (2, 4)),
        ("best_seresnext50", "seresnext50", None),
        ("best_odd_1_0", "odd_1_0", None),
        ("checkpoint", None, None),
    ],
)
def test_architecture_and_pair_from_the_name(
    tmp_path: Path, name: str, architecture: str | None, pair: tuple[int, int] | None
) -> None:
    checkpoint = read(tmp_path, {"state_dict": WEIGHTS}, name)
    assert checkpoint.earlier
    assert checkpoint.architecture == architecture
    assert checkpoint.classifiers[0].pair == pair
    assert checkpoint.parameters == 16


def test_what_the_file_says_goes_before_its_name(tmp_path: Path) -> None:
    content = {"model": WEIGHTS, "class_pair": (1, 2), "config": {"model_name": "resnet50"}}
    checkpoint = read(tmp_path, content)
    assert checkpoint.architecture == "resnet50"
    assert checkpoint.classifiers[0].pair == (1, 2)


@pytest.mark.parametrize(
    ("stored", "value", "words"),
    [
        (np.float64(91.25), 0.9125, "percentage"),
        (0.9125, 0.9125, "fraction"),
        (torch.tensor(1.0), 1.0, "fraction"),
        (100, 1.0, "percentage"),
        (1.2, None, "fraction"),
        (5000.0, None, "percentage"),
    ],
)
@pytest.mark.parametrize("key", ["best_val_accuracy", "best_val_acc", "val_accuracy"])
def test_percent_or_fraction(
    tmp_path: Path, key: str, stored: Any, value: float | None, words: str
) -> None:
    classifier = classifier_of(tmp_path, **{key: stored})
    assert classifier.val_accuracy == (None if value is None else pytest.approx(value))
    assert f"stored as a {words}" in classifier.note
    assert "can't be evaluated here" in classifier.note


def test_metrics_and_epoch(tmp_path: Path) -> None:
    metrics = {"val_auc": np.float32(0.5), "sensitivity": 80.0, "specificity": 0.9}
    classifier = classifier_of(tmp_path, metrics=metrics, epoch=np.int64(41), train_acc=95.0)
    assert (classifier.epoch, classifier.val_auc) == (41, 0.5)
    assert (classifier.val_sensitivity, classifier.val_specificity) == (0.8, 0.9)
    assert classifier.val_accuracy is None
    assert classifier.train_val_gap is None


def test_history_gives_the_figures_of_its_best_epoch(tmp_path: Path) -> None:
    history = {"train_acc": [70.0, 90.0, 99.0], "val_acc": [0.6, 0.85, 0.8]}
    classifier = classifier_of(tmp_path, history=history)
    assert (classifier.train_accuracy, classifier.val_accuracy) == (0.9, 0.85)
    assert classifier.train_val_gap == pytest.approx(0.05)
    assert "from its history" in classifier.note


@pytest.mark.parametrize(
    "history",
    [
        {},
        [],
        {"val_acc": []},
        {"val_acc": [None, "x"], "train_acc": [0.5]},
        {"val_acc": 0.5, "train_acc": [0.5]},
    ],
)
def test_an_empty_history_leaves_the_row_unknown(tmp_path: Path, history: Any) -> None:
    classifier = classifier_of(tmp_path, history=history)
    assert classifier.val_accuracy is None
    assert classifier.train_val_gap is None


def test_a_history_of_different_lengths(tmp_path: Path) -> None:
    classifier = classifier_of(tmp_path, history={"val_acc": [0.5, 0.9], "train_acc": [0.7]})
    assert (classifier.val_accuracy, classifier.train_accuracy) == (0.9, None)


def test_bare_weights(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, WEIGHTS)
    assert checkpoint.parameters == 16
    assert "bare weights" in checkpoint.classifiers[0].note


def test_figures_without_weights_are_shown(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, {"val_acc": 0.8})
    assert checkpoint.parameters is None
    assert checkpoint.classifiers[0].val_accuracy == 0.8


def test_neither_weights_nor_figures(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="keys: optimizer, step"):
        read(tmp_path, {"step": 3, "optimizer": {}})
