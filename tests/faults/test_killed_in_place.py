"""Evaluations and retrainings killed before their operations on the disk: what is left is all of
the old, all of the new, or refused; and the same command again brings it to its end."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.model_results import read_results
from dr_ovo.results.one_piece import is_verified
from tests.fixtures.forks import killed_before
from tests.fixtures.trainings import Outcome

NO_HURRY = pytest.mark.timeout(0)
MEASURED = ("seconds", "images_per_second", "peak_memory_mb")
LAST = 24  # operations, among which those are that put things in place
Work = Callable[[Path], Outcome]


@pytest.fixture(scope="module")
def words(small, three_grades) -> tuple[object, ...]:
    return (
        *small, "--dataset_path", three_grades, "--num_classes", 3, "--allow_leaks",
        "--ovo_mode", "independent", "--epochs", 1, "--warmup_epochs", 0, "--train_sample", 0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(words, trainer, tmp_path_factory) -> Path:
    """A network of three pairs that has hardly learned anything, evaluated."""
    folder = tmp_path_factory.mktemp("trained") / "out"
    assert trainer(*words, "--learning_rate", "1e-7", "--output_dir", folder).code == 0
    assert trainer(*words, "--mode", "evaluate", "--output_dir", folder).code == 0
    return folder


@pytest.fixture(scope="module")
def evaluate(words, trainer) -> Work:
    """Evaluates otherwise than before, so that every file becomes another."""
    more = ("--mode", "evaluate", "--decoder", "vote", "--prior_correction")
    return lambda folder: trainer(*words, *more, "--output_dir", folder)


@pytest.fixture(scope="module")
def retrain(words, trainer) -> Work:
    more = ("--learning_rate", "1e-2", "--pairs", "0-2")
    return lambda folder: trainer(*words, *more, "--output_dir", folder)


def refusal(read: Callable[[], object]) -> str:
    """What is said of a folder that is not read; "" for one that is."""
    try:
        read()
    except UserError as error:
        return str(error)
    return ""


def figures(folder: Path) -> Any:
    """What the evaluations of a folder say, as far as two runs share it."""
    results = ResultsFolder(folder)
    reports = [results.read_evaluation(split) for split in ("val", "test")]
    return [{k: v for k, v in one.items() if k not in ("digest", "made_from")} for one in reports]


def numbers_of(total: int, *, every: bool, seed: int) -> list[int]:
    """The operations before which a work is killed: all, or one of the last, before which things
    are put in place."""
    if every:
        print(f"{total} operations on the disk")  # shown by -s
        return [*range(1, total + 1)]
    chance = random.Random(seed)
    return [chance.randint(max(1, total - LAST), total)]


def try_evaluations(evaluate: Work, trained: Path, folder: Path, *, every: bool) -> None:
    whole = shutil.copytree(trained, folder.with_name("whole"))
    total = killed_before(0, lambda: evaluate(whole), whole)
    assert total > 5
    before, after = figures(trained), figures(whole)
    assert before != after
    for number in numbers_of(total, every=every, seed=1):
        shutil.copytree(trained, folder)
        assert killed_before(number, lambda: evaluate(folder), folder) <= number
        refused = refusal(lambda: read_results(folder, "model"))
        assert "--mode evaluate" in refused or figures(folder) in (before, after), number
        outcome = evaluate(folder)
        assert outcome.code == 0, outcome.stderr
        read_results(folder, "model")
        assert figures(folder) == after
        assert left_over(folder) == left_over(whole)
        shutil.rmtree(folder)


def left_over(folder: Path) -> list[str]:
    """All files, but for those with which a killed process tried whether it can write."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(str(p.relative_to(folder)) for p in found if not p.name.startswith(".dr_ovo_"))


@pytest.mark.slow
def test_evaluations(evaluate, trained, tmp_path):
    try_evaluations(evaluate, trained, tmp_path / "out", every=False)


@pytest.mark.slow
@NO_HURRY
def test_evaluations_before_every_operation(evaluate, trained, tmp_path):
    try_evaluations(evaluate, trained, tmp_path / "out", every=True)


def learned(folder: Path) -> Any:
    """The epochs, the notes and the weights of a folder, as far as two runs share them."""
    with (folder / "history.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in MEASURED} for row in csv.DictReader(file)]
    notes = json.loads((folder / "config.json").read_text())["retrained"]
    kept = [(note["pair"], note["kept"], note["settings"]) for note in notes]
    states = {
        path.name: [
            value.tolist() for value in torch.load(path, weights_only=True)["state_dict"].values()
        ]
        for path in sorted((folder / "models").glob("*.pth"))
    }
    return rows, kept, states


def try_retrainings(retrain: Work, trained: Path, folder: Path, *, every: bool) -> None:
    whole = shutil.copytree(trained, folder.with_name("whole"))
    total = killed_before(0, lambda: retrain(whole), whole)
    assert total > 30
    before, after = learned(trained), learned(whole)
    assert before != after
    for number in numbers_of(total, every=every, seed=2):
        shutil.copytree(trained, folder)
        assert killed_before(number, lambda: retrain(folder), folder) <= number
        refused = refusal(lambda: is_verified(ResultsFolder(folder)))
        assert "once more" in refused or learned(folder) in (before, after), number
        outcome = retrain(folder)
        done = outcome.code == 2 and "Nothing has changed" in outcome.stderr
        assert outcome.code == 0 or done, (number, outcome.stderr)
        assert is_verified(ResultsFolder(folder))
        assert learned(folder) == after, number
        assert len(left_over(folder)) == len(left_over(whole)), number
        shutil.rmtree(folder)


@pytest.mark.slow
def test_retrainings(retrain, trained, tmp_path):
    try_retrainings(retrain, trained, tmp_path / "out", every=False)


@pytest.mark.slow
@NO_HURRY
def test_retrainings_before_every_operation(retrain, trained, tmp_path):
    try_retrainings(retrain, trained, tmp_path / "out", every=True)
