"""Two ranks do what one process does."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.predictions.predictions_file import load_predictions

MEASURED = ("seconds", "images_per_second", "peak_memory_mb")
# The steps are larger than the rounding between one sum of gradients and two.
WORDS = (
    *("--num_classes", 3),
    *("--epochs", 3, "--learning_rate", "1e-3", "--warmup_epochs", 1, "--batch_size", 2),
    *("--gradient_accumulation_steps", 3, "--tta_views", 2, "--ema_decay", 0.9),
)
MODES = {
    "shared": (),
    "ordinal": ("--head", "ordinal", "--scheduler", "plateau"),
    "independent": ("--ovo_mode", "independent", "--patience", 1),
}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    states = {
        path.name: torch.load(path, weights_only=True)["state_dict"]
        for path in sorted(folder.glob("models/*.pth"))
    }
    assert states
    return {f"{name} {key}": value for name, one in states.items() for key, value in one.items()}


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: v for name, v in row.items() if name not in MEASURED} for row in rows]


@pytest.fixture(scope="module")
def words(small, three_grades) -> tuple[object, ...]:
    return (*small, *WORDS, "--dataset_path", three_grades)


@pytest.fixture(scope="module")
def folders(words, trainer, on_ranks, three_grades, tmp_path_factory) -> tuple[Path, Path, str]:
    """Folders with the same trainings, evaluations and grades, by one process and by two."""
    alone, together = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("together")
    by_root: dict[Path, list[tuple[object, ...]]] = {}
    for root in (alone, together):
        trainings = [(*words, *flags, "--output_dir", root / mode) for mode, flags in MODES.items()]
        common = ("--device", "cpu", "--num_workers", 0, "--output_dir", root / "shared")
        evaluation = ("--mode", "evaluate", "--dataset_path", three_grades, *common)
        grading = ("--mode", "inference", "--input", three_grades / "test", *common)
        by_root[root] = [*trainings, evaluation, grading]
    for command in by_root[alone]:
        assert trainer(*command).code == 0
    return alone, together, "".join(on_ranks(*command) for command in by_root[together])


def test_independent_branches_have_the_bits_of_one_process(folders):
    alone, together, _ = folders
    one, other = weights(alone / "independent"), weights(together / "independent")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert history(alone / "independent") == history(together / "independent")


@pytest.mark.parametrize("mode", ["shared", "ordinal"])
def test_a_branch_that_ranks_share_is_equal_up_to_rounding(mode, folders):
    alone, together, _ = folders
    one, other = weights(alone / mode), weights(together / mode)
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-3, atol=1e-5)
    for before, now in zip(history(alone / mode), history(together / mode), strict=True):
        assert before.keys() == now.keys()
        assert float(now["val_loss"]) == pytest.approx(float(before["val_loss"]), rel=1e-3)
        assert float(now["train_loss"]) == pytest.approx(float(before["train_loss"]), rel=1e-3)


def test_what_was_trained_by_several_processes_says_so(folders):
    alone, together, output = folders
    configs = [
        json.loads((root / mode / "config.json").read_text())["effective"]
        for mode in ("shared", "independent")
        for root in (alone, together)
    ]
    assert [config["ranks"] for config in configs] == [1, 2, 1, 1]  # that share a step
    for before, now in (configs[:2], configs[2:]):
        assert {**before, "ranks": 0} == {**now, "ranks": 0}
    assert output.count("2 processes share steps of 6 images") == 2
    for mode in MODES:  # the log has the epochs of all branches
        log = (together / mode / "train.log").read_text()
        assert log.count(" val loss ") == len(history(together / mode))


def test_progress_is_finished_and_nothing_else_is_left(folders):
    alone, together, _ = folders
    for mode in MODES:
        names = [
            sorted(path.relative_to(root / mode).as_posix() for path in (root / mode).rglob("*"))
            for root in (alone, together)
        ]
        assert names[0] == names[1]
        progress = json.loads((together / mode / "resume" / "progress.json").read_text())
        assert progress["finished"]


@pytest.mark.parametrize("split", ["val", "test"])
def test_predictions_are_those_of_the_network(split, folders, trainer, three_grades, tmp_path):
    """What two ranks predicted has the bits of one process with the same checkpoint."""
    _, together, _ = folders
    found = load_predictions(together / "shared" / f"predictions_{split}.npz")
    before = (together / "shared" / f"predictions_{split}.npz").read_bytes()
    flags = ("--device", "cpu", "--num_workers", 0, "--output_dir", together / "shared")
    assert trainer("--mode", "evaluate", "--dataset_path", three_grades, *flags).code == 0
    alone = load_predictions(together / "shared" / f"predictions_{split}.npz")
    assert np.array_equal(found.logits, alone.logits)
    assert (together / "shared" / f"predictions_{split}.npz").read_bytes() == before


def test_grades_are_those_of_one_process(folders, trainer, three_grades, tmp_path):
    _, together, _ = folders
    flags = ("--device", "cpu", "--num_workers", 0, "--output_dir", together / "shared")
    words = ("--mode", "inference", "--input", three_grades / "test", *flags)
    assert trainer(*words, "--output", tmp_path / "alone.csv").code == 0
    text = (together / "shared" / "inference.csv").read_text()
    assert (tmp_path / "alone.csv").read_text() == text
    assert text.count("\n") == 13
