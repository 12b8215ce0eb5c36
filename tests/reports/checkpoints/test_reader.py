from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dr_ovo.pairs import class_pairs
from dr_ovo.reports.checkpoints.reader import read_checkpoint
from dr_ovo.reports.checkpoints.record import UnreadableError, fraction, number

Save = Callable[..., Path]


@pytest.mark.parametrize("branch", ["ovo", "softmax", "ordinal"])
def test_one_network_for_all_pairs_gives_a_classifier_a_pair(
    tmp_path: Path, save: Save, branch: str
) -> None:
    path = save(tmp_path, branch, synthetic=True)
    checkpoint = read_checkpoint(path)
    assert (checkpoint.architecture, checkpoint.branch) == ("coatnet_0_rw_224", branch)
    assert checkpoint.parameters == 26_700_000
    assert checkpoint.bytes == path.stat().st_size
    assert checkpoint.synthetic
    assert not checkpoint.earlier
    assert [classifier.pair for classifier in checkpoint.classifiers] == class_pairs(5)
    first = checkpoint.classifiers[0]
    assert (first.epoch, first.val_accuracy, first.val_auc) == (7, 0.925, 0.97)
    assert (first.val_sensitivity, first.val_specificity) == (0.9, 0.95)
    assert first.train_val_gap == pytest.approx(0.03)
    assert first.note == ""


def test_the_json_beside_is_not_needed_and_not_believed(tmp_path: Path, save: Save) -> None:
    path = save(tmp_path, "0_3")
    path.with_suffix(".json").write_text('{"epoch": 99}')
    (classifier,) = read_checkpoint(path).classifiers
    assert (classifier.pair, classifier.epoch) == ((0, 3), 7)


def test_what_is_not_known_is_said(tmp_path: Path, save: Save) -> None:
    path = save(tmp_path, "0_1", epoch=1, row={"val_auc": None, "train_accuracy": None})
    (classifier,) = read_checkpoint(path).classifiers
    assert classifier.val_auc is None
    assert classifier.train_val_gap is None
    for words in ("one epoch of training", "AUC unknown", "train-val gap unknown"):
        assert words in classifier.note


def test_a_checkpoint_without_pair_figures_shows_those_of_the_grade(
    tmp_path: Path, save: Save
) -> None:
    path = save(tmp_path, metrics={"val_accuracy": 0.7, "val_auc": float("nan")})
    (classifier,) = read_checkpoint(path).classifiers
    assert (classifier.pair, classifier.val_accuracy, classifier.val_auc) == (None, 0.7, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 2}, "schema 2"),
        ({"metrics": None, "epoch": "7"}, "epoch, metrics missing"),
        ({"metrics": {"pairs": [{"pair": [0]}]}}, "metadata"),
        ({"metrics": {"pairs": ["0_1"]}}, "metadata"),
    ],
)
def test_files_that_are_not_as_they_should_be_are_refused(
    tmp_path: Path, save: Save, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnreadableError, match=reason):
        read_checkpoint(save(tmp_path, **changes))


@pytest.mark.parametrize("content", [[torch.zeros(2)], {}, torch.zeros(2), {"notes": "nothing"}])
def test_a_file_without_a_checkpoint_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(UnreadableError, match="holds"):
        read_checkpoint(tmp_path / "x.pth")


def test_numbers_are_numbers() -> None:
    assert number(torch.tensor(0.5)) == 0.5
    assert [number(value) for value in (True, "0.5", float("inf"), None, torch.ones(2))] == [
        None
    ] * 5
    assert [fraction(value) for value in (0, 1, 1.001, -0.1)] == [0, 1, None, None]
