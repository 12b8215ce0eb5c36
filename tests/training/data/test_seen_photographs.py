"""What a network has seen, as a checkpoint holds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.dataset.index import DatasetIndex, scan_dataset
from dr_ovo.training.data.seen_photographs import (
    ALL_KNOWN,
    NOTHING,
    UNKNOWN,
    SeenPhotographs,
    seen_by,
    seen_in_training,
)

Contents = dict[Path, str]


def sha256_of(number: int) -> str:
    """A sha256 whose first 64 bits, signed, are this number."""
    return number.to_bytes(8, "big", signed=True).hex() + "0" * 48


def seen(learned: list[int], chosen: list[int], *, all_known: bool = True) -> SeenPhotographs:
    return SeenPhotographs(np.array(learned, np.int64), np.array(chosen, np.int64), all_known)


def lists(one: SeenPhotographs) -> tuple[list[int], list[int], bool]:
    return one.learned_from.tolist(), one.chosen_on.tolist(), one.all_known


@pytest.fixture
def small_set(draw_dataset, tmp_path) -> tuple[DatasetIndex, Contents]:
    """Two grades with an image each: train is 0 and -1, val 2 and 3, test 4 and 5."""
    index = scan_dataset(draw_dataset(tmp_path / "data", grades=2, images=1), ("0", "1"))
    paths = index.paths(("train", "val", "test"))
    numbers = (0, -1, 2, 3, 4, 5)
    return index, {path: sha256_of(n) for path, n in zip(paths, numbers, strict=True)}


def test_a_training_learns_from_train_and_chooses_on_val(small_set):
    assert lists(seen_in_training(*small_set)) == ([-1, 0], [2, 3], True)
    assert lists(seen_in_training(*small_set, held_out=True)) == ([-1, 0], [], True)


def test_files_without_contents_are_left_out(small_set):
    index, contents = small_set
    unreadable = dict(zip(contents, ("", "unreadable", sha256_of(7), "", "", ""), strict=True))
    assert lists(seen_in_training(index, unreadable)) == ([], [7], True)
    assert seen([7], []).files_of(index, {}) == {}


@pytest.mark.parametrize(
    ("learned", "chosen", "expected"),
    [
        ([0, -1], [2, 3], {}),  # the same training again
        ([2], [], {"val": ["val/0/val-0-0.jpeg"]}),
        ([3, 4, 99], [], {"val": ["val/1/val-1-0.jpeg"], "test": ["test/0/test-0-0.jpeg"]}),
        ([], [5, 4], {"test": ["test/0/test-0-0.jpeg", "test/1/test-1-0.jpeg"]}),
        ([], [0, 2], {}),
        ([], [], {}),
    ],
)
def test_what_can_not_be_judged(learned, chosen, expected, small_set):
    assert seen(sorted(learned), sorted(chosen)).files_of(*small_set) == expected


def test_a_fold_that_is_held_out_is_judged_on_like_test(small_set):
    before = seen([0], [2, 5])
    assert before.files_of(*small_set) == {"test": ["test/1/test-1-0.jpeg"]}
    assert before.files_of(*small_set, held_out=True) == {
        "val": ["val/0/val-0-0.jpeg"], "test": ["test/1/test-1-0.jpeg"],
    }  # fmt: skip


def test_both_of_two_histories():
    both = seen([1, 5], [2]) | seen([-3, 1], [2, 9])
    assert lists(both) == ([-3, 1, 5], [2, 9], True)
    assert lists(both | NOTHING) == lists(both)
    assert lists(both | UNKNOWN) == ([-3, 1, 5], [2, 9], False)


@pytest.mark.parametrize("all_known", [True, False])
def test_what_a_checkpoint_holds_comes_back(all_known, tmp_path):
    before = seen([-(2**63), 1, 2**63 - 1], [], all_known=all_known)
    torch.save({**before.tensors(), ALL_KNOWN: all_known}, tmp_path / "a.pth")
    content = torch.load(tmp_path / "a.pth", weights_only=True)
    assert lists(seen_by(content)) == lists(before)


@pytest.mark.parametrize(
    "content",
    [{}, {"learned_from": torch.tensor([1])}, {"learned_from": [1], "chosen_on": [2]},
     {"learned_from": torch.ones(1), "chosen_on": torch.ones(1)}],
)  # fmt: skip
def test_a_file_that_does_not_say(content):
    assert seen_by(content) is None
