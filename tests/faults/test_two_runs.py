"""Two runs at once in one folder: the second of a kind is refused before it changes anything."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path

import pytest

from dr_ovo.grading.job.unfinished import output_lock
from dr_ovo.locks.folders import DIVISION, EVALUATION, TRAINING, only_writer
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.writing.run_writer import RunWriter
from tests.fixtures.forks import exit_code, in_a_fork
from tests.fixtures.trainings import Outcome

SINCE = "trains into it, since 20"


@pytest.fixture(scope="module")
def words(small, three_grades) -> tuple[object, ...]:
    return (
        *small, "--dataset_path", three_grades, "--num_classes", 3, "--ovo_mode", "independent",
        "--epochs", 2, "--warmup_epochs", 0, "--train_sample", 0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(words, trainer, tmp_path_factory) -> Path:
    """A finished training; read only."""
    folder = tmp_path_factory.mktemp("finished") / "out"
    assert trainer(*words, "--output_dir", folder).code == 0
    return folder


@pytest.fixture
def finished(whole, tmp_path) -> Path:
    """A copy of it."""
    return shutil.copytree(whole, tmp_path / "out")


@pytest.fixture(scope="module")
def evaluate(small, three_grades, trainer) -> Callable[..., Outcome]:
    def run(folder: Path, *more: object) -> Outcome:
        return trainer(
            "--mode", "evaluate", *small[:2], "--dataset_path", three_grades, "--num_classes", 3,
            "--device", "cpu", "--num_workers", 0, "--output_dir", folder, *more,
        )  # fmt: skip

    return run


def forked(work: Callable[[], Outcome]) -> Outcome:
    """The outcome of a run of another process."""
    here, there = Pipe()

    def send() -> Outcome:
        outcome = work()
        there.send(outcome)
        return outcome

    child = in_a_fork(send)
    there.close()
    try:
        outcome = here.recv()
    except EOFError:
        raise AssertionError("it ended without an outcome") from None
    assert exit_code(child) == outcome.code
    return outcome


@contextmanager
def meanwhile(monkeypatch, work: Callable[[], object]) -> Iterator[None]:
    """Within the context a training does `work` once, after its first epoch, holding its locks."""
    keep, calls = RunWriter.keep_epoch, iter([work])

    def keep_and_work(writer: RunWriter, epoch: int, results: list) -> None:
        keep(writer, epoch, results)
        for call in calls:
            call()

    monkeypatch.setattr(RunWriter, "keep_epoch", keep_and_work)
    yield
    assert next(calls, None) is None


def test_beside_a_training(words, trainer, evaluate, contents, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    (tmp_path / "link").symlink_to("out")
    outcomes = {}

    def others() -> None:
        before = contents(folder)
        log_file = tmp_path / "log.txt"
        log_file.write_text("of the training\n")
        for name, flags in {
            "training": (),
            "resumed": ("--resume",),
            "by a link": ("--output_dir", tmp_path / "link", "--log_file", log_file),
        }.items():
            outcomes[name] = forked(
                lambda flags=flags: trainer(*words, "--output_dir", folder, *flags)
            )
            assert contents(folder) == before
        assert log_file.read_text() == "of the training\n"
        outcomes["dry run"] = forked(
            lambda: trainer(*words, "--output_dir", folder, "--resume", "--dry_run")
        )
        assert contents(folder) == before
        outcomes["evaluation"] = forked(lambda: evaluate(folder))

    with meanwhile(monkeypatch, others):
        outcome = trainer(*words, "--output_dir", folder)
    assert outcome.code == 0, outcome.stderr
    for name in ("training", "resumed", "by a link"):
        assert outcomes[name].code == 2
        assert f"process {os.getpid()} on " in outcomes[name].stderr
        assert SINCE in outcomes[name].stderr
        assert "give another --output_dir" in outcomes[name].stderr
    assert outcomes["dry run"].code == 0, outcomes["dry run"].stderr
    assert outcomes["evaluation"].code == 0, outcomes["evaluation"].stderr
    assert folder.joinpath("evaluation.json").is_file()
    assert not [name for name in contents(folder) if "lock" in name]


@pytest.mark.slow
def test_beside_a_retraining(words, finished, trainer, evaluate, contents, monkeypatch):
    outcomes = {}
    again = ("--output_dir", finished, "--pairs", "0-1")

    def others() -> None:
        before = contents(finished)
        outcomes["resumed"] = forked(lambda: trainer(*words, *again[:2], "--resume"))
        outcomes["another pair"] = forked(lambda: trainer(*words, *again, "--seed", 8))
        assert contents(finished) == before
        outcomes["evaluation"] = forked(lambda: evaluate(finished))

    with meanwhile(monkeypatch, others):
        outcome = trainer(*words, *again, "--seed", 7)
    assert outcome.code == 0, outcome.stderr
    assert [outcomes[name].code for name in ("resumed", "another pair", "evaluation")] == [2, 2, 0]
    assert SINCE in outcomes["another pair"].stderr


def test_retraining_beside_a_training(words, finished, trainer, contents):
    with only_writer(finished, TRAINING):
        before = contents(finished)
        outcome = trainer(*words, "--output_dir", finished, "--pairs", "0-1", "--seed", 7)
        assert contents(finished) == before
    assert outcome.code == 2
    assert SINCE in outcome.stderr


def test_two_evaluations(finished, evaluate, contents):
    with only_writer(finished, EVALUATION):
        before = contents(finished)
        outcome = evaluate(finished)
        assert contents(finished) == before
    assert outcome.code == 2
    assert "evaluates it, since 20" in outcome.stderr


def test_evaluating_a_folder_that_is_not_there_makes_none(evaluate, tmp_path):
    assert evaluate(tmp_path / "typo").code == 2
    assert not [*tmp_path.iterdir()]


def test_a_failed_training_leaves_no_folder(words, trainer, tmp_path):
    outcome = trainer(*words, "--dataset_path", tmp_path / "typo", "--output_dir", tmp_path / "o/p")
    assert outcome.code == 2
    assert not [*tmp_path.iterdir()]


def test_two_runs_that_grade_into_one_file(finished, three_grades, trainer, tmp_path):
    output = tmp_path / "grades.csv"
    command = (
        "--mode", "inference", "--output_dir", finished, "--device", "cpu", "--num_workers", 0,
        "--input", three_grades / "test", "--output", output,
    )  # fmt: skip
    with output_lock(output):
        outcome = trainer(*command)
    assert outcome.code == 2
    assert "writes it, since 20" in outcome.stderr
    assert trainer(*command).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grades.csv", "out"]


def test_members_of_folds(words, trainer, contents, tmp_path):
    """Each may be trained by a process of its own; one of them twice at a time, never."""
    folder, folds = tmp_path / "out", ("--folds", 3, "--keep_epoch", "last")
    with only_writer(folder / "fold_2", TRAINING):
        before = contents(folder)
        for flags in ((), ("--fold", 2)):
            outcome = trainer(*words, *folds, *flags, "--output_dir", folder)
            assert outcome.code == 2
            assert f"{folder / 'fold_2'}: process" in outcome.stderr
            assert contents(folder) == before
        outcome = trainer(*words, *folds, "--fold", 1, "--output_dir", folder)
        assert outcome.code == 0, outcome.stderr
        assert ResultsFolder(folder / "fold_1").is_finished()
    with only_writer(folder, TRAINING):  # of a network in the place of the folds
        outcome = trainer(*words, *folds, "--fold", 3, "--output_dir", folder)
    assert outcome.code == 2
    assert f"{folder}: process" in outcome.stderr
    assert not (folder / "fold_3").exists()


@pytest.mark.slow
def test_two_members_of_folds_divide_in_turn(words, trainer, tmp_path):
    """The second waits for the first, which has not made the folder's division yet."""
    folder = tmp_path / "out"
    here, there = Pipe()

    def hold() -> Outcome:
        with only_writer(folder, DIVISION):
            there.send("held")
            there.recv()
        return Outcome(0, "", "")

    child = in_a_fork(hold)
    assert here.recv() == "held"
    words = (*words, "--folds", 3, "--fold", 1, "--keep_epoch", "last", "--output_dir", folder)
    threading.Timer(1.0, here.send, ("go on",)).start()
    outcome = trainer(*words)
    assert exit_code(child) == 0
    assert outcome.code == 0, outcome.stderr
    assert "divides it into folds" in outcome.stdout
    assert "waiting until it has ended" in outcome.stdout


def test_what_a_killed_training_left_is_removed(words, finished, trainer, evaluate, contents):
    """It was killed between its last progress and its end, or its folder is a copy."""
    left = ["resume/0_1.epoch2.pth", "resume/stem.pth", "resume/0_1.epoch2.pth.part"]
    for again in (
        lambda: trainer(*words, "--output_dir", finished, "--resume"),
        lambda: evaluate(finished),
    ):
        for name in left:
            (finished / name).touch()
        outcome = again()
        assert outcome.code == 0, outcome.stderr
        assert not {*left} & {*contents(finished)}
    for name in left:
        (finished / name).touch()
    with only_writer(finished, TRAINING):  # it may go on
        assert evaluate(finished).code == 0
    assert {*left} <= {*contents(finished)}
