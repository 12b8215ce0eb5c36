"""A training killed anywhere, also inside an epoch, goes on to the bits of one never stopped.

Killed means here: the process ends without running another instruction, before an operation on the
disk or at any moment. A process is a fork of this one, which has torch loaded already.
"""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dr_ovo.results.folder import ResultsFolder
from tests.fixtures import forks
from tests.fixtures.forks import exit_code, in_a_fork
from tests.fixtures.sealed import shared_progress
from tests.fixtures.slow import slow

MEASURED = ("seconds", "images_per_second", "peak_memory_mb")
KINDS = {
    "shared": ("--ovo_dropout", 0.5),
    "independent": ("--ovo_mode", "independent"),
    "averaged": ("--ovo_mode", "independent", "--ema_decay", 0.8, "--ovo_dropout", 0.5),
    "bfloat16": ("--amp", "on", "--ovo_dropout", 0.5),
    "live BatchNorm": ("--no-pretrained", "--pretrained_path", "", "--freeze_weights", "false"),
}
ONE_KIND = ["shared", *slow(*(kind for kind in KINDS if kind != "shared"))]  # in the default suite
MOMENTS = 40
NO_HURRY = pytest.mark.timeout(0)  # hundreds of trainings


@dataclass(frozen=True)
class Case:
    """A kind of training, and its folder and its operations on the disk when nothing stopped it."""

    kind: str
    words: tuple[object, ...]
    whole: Path
    trainer: Callable[..., Any]
    operations: int = 0

    def run(self, folder: Path, *more: object) -> Any:
        """The training in a folder, in this process."""
        return self.trainer(*self.words, "--output_dir", folder, *more)


@pytest.fixture(scope="module", params=KINDS)
def case(request, small, three_grades, trainer, tmp_path_factory) -> Case:
    kept = tmp_path_factory.mktemp("decoded")
    words = (
        *small, "--dataset_path", three_grades, "--num_classes", 3, "--epochs", 2,
        "--batch_size", 2, "--gradient_accumulation_steps", 2, "--learning_rate", "1e-2",
        "--warmup_epochs", 0, "--train_sample", 3, "--allow_leaks",
        "--save_every", "0.000001",  # minutes: after every window
        "--cache", "on", "--cache_dir", kept, *KINDS[request.param],
    )  # fmt: skip
    whole = tmp_path_factory.mktemp("never_stopped") / "out"
    made = Case(request.param, words, whole, trainer)
    made = replace(made, operations=killed_before(0, made, whole))
    assert ResultsFolder(whole).is_finished()
    return made


def killed_before(number: int, case: Case, folder: Path, *more: object) -> int:
    """Trains until before an operation on files of the folder; see forks.killed_before."""
    return forks.killed_before(number, lambda: case.run(folder, *more), folder)


def assert_goes_on_as_if_nothing_had_happened(case: Case, folder: Path) -> None:
    outcome = case.run(folder, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert_same(case.whole, folder)


def assert_same(one: Path, other: Path) -> None:
    """The same history, progress and checkpoints, bit by bit."""
    assert history(one) == history(other)
    assert shared_progress(one) == shared_progress(other)
    names = [sorted(map(str, files_of(folder))) for folder in (one, other)]
    assert names[0] == names[1]
    checkpoints = sorted(one.glob("models/*.pth"))
    assert checkpoints
    for path in checkpoints:
        loaded = [torch.load(p, weights_only=True) for p in (path, other / "models" / path.name)]
        weights = [content.pop("state_dict") for content in loaded]
        assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
        assert loaded[0]["metrics"] == loaded[1]["metrics"]


def files_of(folder: Path) -> list[Path]:
    """The files of a results folder, but for the log, and for what a process may leave that is
    killed while it tries whether the folder can be written."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [path for path in found if not path.name.startswith((".dr_ovo_", "train.log"))]


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return [
            {name: value for name, value in row.items() if name not in MEASURED}
            for row in csv.DictReader(file)
        ]


def try_operations(case: Case, tmp_path: Path, *, slow: bool) -> None:
    total = case.operations
    assert total > 100
    print(f"{total} operations on the disk")  # shown by -s
    # In the default suite one of them, another for each kind.
    numbers = range(1, total + 1) if slow else [random.Random(case.kind).randint(1, total)]
    for number in numbers:
        folder = tmp_path / str(number)
        assert killed_before(number, case, folder) == number
        killed_before(number // 2, case, folder, "--resume")  # and once more, on the way
        assert_goes_on_as_if_nothing_had_happened(case, folder)
        shutil.rmtree(folder)


@pytest.mark.parametrize("case", ONE_KIND, indirect=True)
def test_before_operations_on_the_disk(case, tmp_path):
    try_operations(case, tmp_path, slow=False)


@pytest.mark.slow
@NO_HURRY
def test_before_every_operation_on_the_disk(case, tmp_path):
    try_operations(case, tmp_path, slow=True)


def try_moments(case: Case, tmp_path: Path, number: signal.Signals, count: int) -> list[int]:
    """Trainings that a signal meets at random moments; their exit codes."""
    start = time.monotonic()
    assert exit_code(in_a_fork(lambda: case.run(tmp_path / "timed"))) == 0
    duration = time.monotonic() - start
    chance = random.Random(1)
    codes = []
    for attempt in range(count):
        folder = tmp_path / f"{number.name}{attempt}"
        child = in_a_fork(lambda folder=folder: case.run(folder))
        time.sleep(chance.uniform(0.05, duration))
        os.kill(child, number)
        codes.append(exit_code(child))
        assert_goes_on_as_if_nothing_had_happened(case, folder)
    return codes


ENDS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.mark.slow
@pytest.mark.parametrize("case", ONE_KIND, indirect=True)
def test_at_a_random_moment(case, tmp_path):
    # On a busy machine a training may have ended before its signal came.
    assert set(try_moments(case, tmp_path, signal.SIGTERM, 2)) <= {143, 0}


@pytest.mark.slow
@NO_HURRY
@pytest.mark.parametrize("number", ENDS)
def test_at_random_moments(number, case, tmp_path):
    codes = try_moments(case, tmp_path, number, MOMENTS)
    print(f"{number.name} ended {len(codes) - codes.count(0)} of {len(codes)}")  # shown by -s
    assert ENDS[number] in set(codes) <= {ENDS[number], 0}
