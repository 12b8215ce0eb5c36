"""A run that was stopped, by whatever means, and resumed equals an uninterrupted run."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.optimization.guarded_optimizer import GuardedOptimizer
from dr_ovo.training.resume import state
from dr_ovo.training.resume.state import kept_state
from dr_ovo.training.writing.run_writer import RunWriter
from tests.fixtures.held_trainer import HELD_TRAINER
from tests.fixtures.prepared import Prepared, Process
from tests.fixtures.sealed import shared_progress
from tests.fixtures.slow import slow
from tests.fixtures.trainings import stop_after_each_epoch

ROOT = Path(__file__).resolve().parents[3]
# Measured times and memory differ between any two runs.
MEASURED = ("seconds", "images_per_second", "peak_memory_mb")
EPOCHS = 3
SHARED = ("--epochs", EPOCHS, "--learning_rate", "1e-3", "--warmup_epochs", 2)
INDEPENDENT = (*SHARED, "--ovo_mode", "independent")


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Bitwise equality of nested plain values and tensors."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key, value in one.items():
            assert_same(value, other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, value in enumerate(one):
            assert_same(value, other[number], f"{where}/{number}")
    else:
        assert one == other, where


def assert_same_training(one: Path, other: Path) -> None:
    """The same weights, optimizers, history and best checkpoints in two results folders. The state
    before the newest may be another: it is where a run was stopped."""
    assert shared_progress(one) == shared_progress(other)
    for path in one.glob("models/*.json"):
        assert path.read_text() == (other / path.relative_to(one)).read_text()
    states = files_named_in(ResultsFolder(one).progress)
    kept = {path.name for path in one.glob("resume/*.pth")} - {"stem.pth"}
    assert kept == states | files_named_in(ResultsFolder(one).previous)
    tensors = [*(one / "resume" / name for name in states), *one.glob("models/*.pth")]
    assert tensors
    for path in tensors:
        pair = [torch.load(p, weights_only=True) for p in (path, other / path.relative_to(one))]
        assert_same(*pair, where=path.name)
    assert history(one) == history(other)


def files_named_in(path: Path) -> set[str]:
    """The states that progress.json or previous.json names; none where it is not there."""
    branches = json.loads(path.read_text())["branches"] if path.is_file() else {}
    return {branch["file"] for branch in branches.values() if branch["file"]}


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: v for name, v in row.items() if name not in MEASURED} for row in rows]


def finished(folder: Path) -> int:
    return ResultsFolder(folder).finished_epochs()


Snapshots = Callable[..., Path]


@pytest.fixture(scope="module")
def never_stopped(trainer, tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    """Trains with the given words; `<n>/` is a copy of its folder after epoch n."""

    def train(*words: object) -> Path:
        folder = tmp_path_factory.mktemp("never_stopped")
        keep = RunWriter.keep_epoch

        def snap(writer: RunWriter, epoch: int, results: list) -> None:
            keep(writer, epoch, results)
            shutil.copytree(writer.folder.root, folder / str(epoch))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RunWriter, "keep_epoch", snap)
            outcome = trainer(*words, "--output_dir", folder / "run")
        assert outcome.code == 0, outcome.stderr
        return folder

    return train


@pytest.fixture(scope="module")
def small_shared(never_stopped, small, three_grades) -> tuple[tuple[object, ...], Path]:
    words = (*small, *SHARED, "--dataset_path", three_grades, "--num_classes", 3)
    return words, never_stopped(*words)


@pytest.fixture(scope="module")
def small_independent(never_stopped, small, three_grades) -> tuple[tuple[object, ...], Path]:
    words = (*small, *INDEPENDENT, "--dataset_path", three_grades, "--num_classes", 3)
    return words, never_stopped(*words)


def stop(
    prepared: Prepared, words: tuple[object, ...], how: signal.Signals, after: int, workers: int = 2
) -> Process:
    """Runs the trainer with its workers in a separate process, and sends `how` to its whole process
    group, as a terminal does, in the middle of the epoch that follows `after` finished ones."""
    folder = Path(str(words[words.index("--output_dir") + 1]))
    process = prepared.start((HELD_TRAINER, after + 1, *words, "--num_workers", workers), ROOT)
    give_up = time.monotonic() + 120
    while finished(folder) < after and process.poll() is None:
        assert time.monotonic() < give_up, "no epoch finished"
        time.sleep(0.01)
    time.sleep(0.05)
    os.killpg(process.pid, how)
    process.wait(60)
    return process


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


@pytest.mark.parametrize("workers", [0, *slow(2)])
def test_a_shared_run_killed_outright_then_stopped_by_ctrl_c(
    workers, small_shared, trainer, prepared, tmp_path
):
    words, run = small_shared
    words = (*words, "--output_dir", tmp_path)
    killed = stop(prepared, words, signal.SIGKILL, 1, workers)
    assert killed.returncode == -signal.SIGKILL
    # Killed after its first epoch it is unfinished, whatever is in models/.
    assert list((tmp_path / "models").glob("*.pth"))
    assert not ResultsFolder(tmp_path).is_finished()

    stopped = stop(prepared, (*words, "--resume"), signal.SIGINT, finished(tmp_path) + 1, workers)
    stderr = stopped.stderr.read_text()
    assert stopped.returncode == 130, stderr
    done = finished(tmp_path)
    assert 2 <= done < EPOCHS
    reached = kept_state(ResultsFolder(tmp_path))
    for text in (stderr, (tmp_path / "train.log").read_text()):
        assert f"{done} finished epochs" in last_line(text)
        assert last_line(text).endswith("--resume")
    assert "Traceback" not in stderr

    python, script, *flags = shlex.split(last_line(stderr).partition("Resume with: ")[2])
    assert (python, Path(script)) == ("python", ROOT / "ensemble_5class_trainer.py")
    again = trainer(*flags)
    assert again.code == 0, again.stderr
    assert f"resuming {reached.said}" in again.stdout
    assert_same_training(tmp_path, run / str(EPOCHS))


@pytest.fixture(scope="module")
def drawn(small, draw_dataset, tmp_path_factory) -> tuple[object, ...]:
    """A small network on enough images that each branch has two steps in an epoch."""
    data = draw_dataset(tmp_path_factory.mktemp("drawn") / "data", grades=3, images=8)
    return (*small, "--dataset_path", data, "--num_classes", 3, "--allow_leaks")


@pytest.fixture
def photographs(lite0, idrid_small, tmp_path_factory) -> tuple[object, ...]:
    kept = tmp_path_factory.mktemp("decoded")  # where nothing can be kept beside the photographs
    return (*lite0, "--dataset_path", idrid_small, "--cache_dir", kept)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "pairs"), [("drawn", 3), ("photographs", 10)])
def test_an_independent_run_stopped_resumed_and_evaluated(
    case, pairs, request, never_stopped, trainer, prepared, tmp_path
):
    words = (*request.getfixturevalue(case), *INDEPENDENT, "--epochs", 3, "--train_sample", 0)
    run = never_stopped(*words)
    words = (*words, "--output_dir", tmp_path)
    # To the whole process group, as service managers send it: processes that decode die too.
    stopped = stop(prepared, (*words, "--cache", "off"), signal.SIGTERM, 1)
    stderr = stopped.stderr.read_text()
    assert stopped.returncode == 143, stderr
    done = finished(tmp_path)
    assert 1 <= done < 3
    assert last_line(stderr).endswith("--resume")

    data = words[words.index("--dataset_path") + 1]
    evaluation = ("--mode", "evaluate", "--dataset_path", data, "--output_dir", tmp_path)
    early = trainer(*evaluation)
    assert early.code == 0, early.stderr
    assert f"is unfinished: using what it has kept after {done} epochs" in early.stderr

    outcome = trainer(*words, "--num_workers", 2, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert_same_training(tmp_path, run / "3")
    assert len(list((tmp_path / "models").glob("best_*.pth"))) == pairs
    late = trainer(*evaluation)
    assert late.code == 0, late.stderr
    assert "is unfinished" not in late.stderr


@pytest.mark.parametrize("step", [1, *slow(2, 5)])
def test_a_signal_waits_for_one_step_only(step, small_independent, trainer, tmp_path, monkeypatch):
    words, run = small_independent
    words = (*words, "--output_dir", tmp_path)
    take, taken = GuardedOptimizer.step, []

    def take_and_signal(optimizer: GuardedOptimizer, rate: float) -> None:
        take(optimizer, rate)
        taken.append(rate)
        if len(taken) == step:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(GuardedOptimizer, "step", take_and_signal)
        assert trainer(*words).code == 143
    assert len(taken) == step  # the other branches have not had their step of this batch
    assert kept_state(ResultsFolder(tmp_path)).images > 0
    assert trainer(*words, "--resume").code == 0
    assert_same_training(tmp_path, run / str(EPOCHS))


@pytest.mark.slow
def test_a_run_whose_terminal_is_closed(drawn, trainer, prepared, tmp_path):
    words = (*drawn, *INDEPENDENT, "--epochs", 3, "--train_sample", 0, "--output_dir", tmp_path)
    stopped = stop(prepared, (*words, "--cache", "off"), signal.SIGHUP, 1)
    assert stopped.returncode == 129
    said = stopped.stderr.read_text()
    assert last_line(said).endswith("--resume")
    for noise in ("Traceback", "KeyError", "resource_tracker"):
        assert noise not in said
    reached = kept_state(ResultsFolder(tmp_path))
    assert 1 <= reached.epochs < 3
    again = trainer(*words, "--resume")
    assert again.code == 0, again.stderr
    assert f"resuming {reached.said}" in again.stdout


@pytest.fixture(scope="module")
def small_averaged(never_stopped, small, three_grades) -> tuple[tuple[object, ...], Path]:
    words = (*small, *INDEPENDENT, "--dataset_path", three_grades, "--num_classes", 3)
    words = (*words, "--ema_decay", 0.8, "--tta_views", 2)
    return words, never_stopped(*words)


@pytest.mark.parametrize("mode", ["shared", *slow("independent", "averaged")])
def test_a_run_stopped_after_every_epoch(mode, request, trainer, tmp_path, monkeypatch):
    words, run = request.getfixturevalue(f"small_{mode}")
    words = (*words, "--output_dir", tmp_path)
    stop_after_each_epoch(monkeypatch)
    for epoch in range(1, EPOCHS + 1):
        assert trainer(*words, "--resume").code == 130
        assert_same_training(tmp_path, run / str(epoch))
    monkeypatch.undo()
    assert trainer(*words, "--resume").code == 0
    assert_same_training(tmp_path, run / str(EPOCHS))


KINDS = {
    "softmax": ("--head", "softmax"),
    "ordinal, balanced": ("--head", "ordinal", "--sampler", "balanced"),
    "bfloat16": ("--amp", "on"),
    "drop path, rates by layer, colours, blur": (
        "--drop_path", "0.4", "--layer_decay", "0.7", "--saturation_range", "0.3",
        "--hue_range", "20", "--blur_range", "0.03",
    ),
    "live BatchNorm": ("--no-pretrained", "--pretrained_path", "", "--freeze_weights", "false"),
}  # fmt: skip
ONE_KIND = "drop path, rates by layer, colours, blur"


@pytest.mark.parametrize("kind", [ONE_KIND, *slow(*(kind for kind in KINDS if kind != ONE_KIND))])
def test_every_kind_of_training_with_and_without_the_cache(
    kind, small, three_grades, never_stopped, trainer, tmp_path, monkeypatch
):
    words = (*small, "--dataset_path", three_grades, "--num_classes", 3, *KINDS[kind])
    words = (*words, "--epochs", 2, "--learning_rate", "1e-3", "--warmup_epochs", 0)
    run = never_stopped(*words, "--cache", "on")
    words = (*words, "--output_dir", tmp_path)
    with monkeypatch.context() as patch:
        stop_after_each_epoch(patch)
        assert trainer(*words, "--cache", "off").code == 130
    assert_same_training(tmp_path, run / "1")
    assert trainer(*words, "--cache", "off", "--resume").code == 0
    assert_same_training(tmp_path, run / "2")


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2, EPOCHS])
def test_a_stop_between_the_states_and_the_file_that_names_them(
    epoch, small_independent, trainer, tmp_path, monkeypatch
):
    words, run = small_independent
    words = (*words, "--output_dir", tmp_path)
    write = state.write_sealed

    def stop_before(path: Path, content: dict[str, Any]) -> None:
        if content["epoch"] == epoch:
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(state, "write_sealed", stop_before)
    assert trainer(*words).code == 130
    assert finished(tmp_path) == epoch - 1
    monkeypatch.undo()
    assert trainer(*words, "--resume").code == 0
    assert_same_training(tmp_path, run / str(EPOCHS))
    # Nothing is left of the state that was never named.
    assert [path.name for path in (tmp_path / "resume").iterdir()] == ["progress.json"]


@pytest.mark.slow
def test_a_branch_that_ended_stays_ended(small_independent, never_stopped, trainer, tmp_path):
    hasty = ("--epochs", 8, "--patience", 1, "--warmup_epochs", 0, "--learning_rate", "3e-2")
    words = (*small_independent[0], *hasty)
    run = never_stopped(*words)
    ended = {
        epoch: [
            name
            for name, branch in ResultsFolder(run / epoch).read_progress()["branches"].items()
            if branch["ended"]
        ]
        for epoch in (path.name for path in run.iterdir() if path.name.isdecimal())
    }
    partly = [epoch for epoch, names in ended.items() if 0 < len(names) < 3]
    assert partly, f"all branches ended together: {ended}"
    shutil.copytree(run / partly[0], tmp_path / "out")
    assert trainer(*words, "--output_dir", tmp_path / "out", "--resume").code == 0
    assert_same_training(tmp_path / "out", run / "run")
