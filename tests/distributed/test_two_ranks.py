"""Two ranks do what one process does."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
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
ON_CPU = ("--device", "cpu", "--num_workers", 0)
EVALUATION = ("--mode", "evaluate", *ON_CPU, "--dataset_path")


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


Pair = tuple[Path, Path, str]


@pytest.fixture(scope="module")
def by_both(words, trainer, on_ranks, three_grades, tmp_path_factory) -> Callable[[str], Pair]:
    """Trains in a mode by one process and by two, once; a shared network evaluates and grades, too.
    Gives the two folders in which the results of the modes are, and what two processes printed."""
    alone, together = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("together")
    grading = ("--mode", "inference", "--input", three_grades / "test", *ON_CPU)

    @cache
    def call(mode: str) -> Pair:
        more = [(*EVALUATION, three_grades), grading] if mode == "shared" else []
        said = ""
        for command in ((*words, *MODES[mode]), *more):
            assert trainer(*command, "--output_dir", alone / mode).code == 0
            said += on_ranks(*command, "--output_dir", together / mode)
        return alone, together, said

    return call


@pytest.fixture(scope="module")
def evaluated(words, trainer, on_ranks, three_grades, tmp_path_factory) -> Path:
    """The folder of a network that one process trained and two evaluated."""
    folder = tmp_path_factory.mktemp("evaluated")
    assert trainer(*words, "--output_dir", folder).code == 0
    on_ranks(*EVALUATION, three_grades, "--output_dir", folder)
    return folder


@pytest.mark.slow
def test_independent_branches_have_the_bits_of_one_process(by_both):
    alone, together, _ = by_both("independent")
    one, other = weights(alone / "independent"), weights(together / "independent")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert history(alone / "independent") == history(together / "independent")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["shared", "ordinal"])
def test_a_branch_that_ranks_share_is_equal_up_to_rounding(mode, by_both):
    alone, together, _ = by_both(mode)
    one, other = weights(alone / mode), weights(together / mode)
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-3, atol=1e-5)
    for before, now in zip(history(alone / mode), history(together / mode), strict=True):
        assert before.keys() == now.keys()
        assert float(now["val_loss"]) == pytest.approx(float(before["val_loss"]), rel=1e-3)
        assert float(now["train_loss"]) == pytest.approx(float(before["train_loss"]), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_what_was_trained_by_several_processes_says_so(mode, by_both):
    alone, together, output = by_both(mode)
    before, now = (
        json.loads((root / mode / "config.json").read_text())["effective"]
        for root in (alone, together)
    )
    step_is_shared = mode != "independent"
    assert (before["ranks"], now["ranks"]) == (1, 2 if step_is_shared else 1)
    assert {**before, "ranks": 0} == {**now, "ranks": 0}
    assert output.count("2 processes share steps of 6 images") == step_is_shared
    log = (together / mode / "train.log").read_text()  # which has the epochs of all branches
    assert log.count(" val loss ") == len(history(together / mode))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_progress_is_finished_and_nothing_else_is_left(mode, by_both):
    alone, together, _ = by_both(mode)
    names = [
        sorted(path.relative_to(root / mode).as_posix() for path in (root / mode).rglob("*"))
        for root in (alone, together)
    ]
    assert names[0] == names[1]
    progress = json.loads((together / mode / "resume" / "progress.json").read_text())
    assert progress["finished"]


@pytest.mark.parametrize("split", ["val", "test"])
def test_predictions_are_those_of_the_network(split, evaluated, trainer, three_grades):
    """What two ranks predicted has the bits of one process with the same checkpoint."""
    path = evaluated / f"predictions_{split}.npz"
    found, before = load_predictions(path), path.read_bytes()
    assert trainer(*EVALUATION, three_grades, "--output_dir", evaluated).code == 0
    assert np.array_equal(found.logits, load_predictions(path).logits)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_grades_are_those_of_one_process(by_both, trainer, three_grades, tmp_path):
    _, together, _ = by_both("shared")
    flags = ("--device", "cpu", "--num_workers", 0, "--output_dir", together / "shared")
    words = ("--mode", "inference", "--input", three_grades / "test", *flags)
    assert trainer(*words, "--output", tmp_path / "alone.csv").code == 0
    text = (together / "shared" / "inference.csv").read_text()
    assert (tmp_path / "alone.csv").read_text() == text
    assert text.count("\n") == 13
