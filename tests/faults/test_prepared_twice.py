"""A dataset folder holds the pictures of one preparation, whoever is killed and whoever comes."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dr_ovo.decoded.processes import file_workers
from dr_ovo.decoded.processes.decoder import ThisProcess
from dr_ovo.errors import run
from dr_ovo.locks.folders import PREPARATION, only_writer
from dr_ovo.prepare import pipeline
from dr_ovo.prepare.command_line import parse_options
from dr_ovo.prepare.resuming import MARK
from dr_ovo.synthetic.folder import write_dataset
from tests.fixtures.forks import exit_code, in_a_fork, killed_before
from tests.fixtures.trainings import Outcome

TRIED = 2  # operations on the disk before which a preparation is killed, in the default suite
MORE_WORDS = [
    pytest.param(words, marks=pytest.mark.slow)
    for words in (("--val_fraction", 0.2), ("--max_megapixels", 9))
]
NO_HURRY = pytest.mark.timeout(0)


@pytest.fixture(autouse=True)
def _here(monkeypatch) -> None:
    """Pictures are decoded in this process, which is forked."""
    monkeypatch.setattr(file_workers, "DecodingPool", lambda work, _processes: ThisProcess(work))


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tree") / "photographs"
    write_dataset(folder, {"train": 12}, size=64, seed=3)
    return folder / "train"


@pytest.fixture
def prepare(tree, tmp_path) -> Callable[..., Outcome]:
    """Prepares the tree into `set` here, with more words; the exit code alone."""

    def call(*words: object) -> Outcome:
        given = ("--from_tree", tree, "--output", tmp_path / "set", *words)
        return Outcome(
            run(lambda: pipeline.prepare(parse_options([str(word) for word in given]))), "", ""
        )

    return call


def pictures(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("*/*/*")}


def listed(folder: Path) -> set[str]:
    return {entry["id"] for entry in json.loads((folder / "manifest.json").read_text())["files"]}


def test_two_at_once(prepare, tmp_path, contents, capsys, monkeypatch):
    folder, place, codes = tmp_path / "set", pipeline.place_files, []

    def place_and_meet_others(*arguments: object) -> object:
        before = contents(folder)
        for words in ((), ("--seed", 7), ("--preprocess", 64)):
            codes.append(exit_code(in_a_fork(lambda words=words: prepare(*words))))
            assert contents(folder) == before
        codes.append(exit_code(in_a_fork(lambda: prepare("--dry_run"))))
        return place(*arguments)

    monkeypatch.setattr(pipeline, "place_files", place_and_meet_others)
    assert prepare().code == 0
    assert codes == [2, 2, 2, 0]
    assert pictures(folder) == listed(folder)
    assert not [name for name in contents(folder) if "lock" in name]
    with only_writer(folder, PREPARATION):
        assert prepare().code == 2
    assert f"{folder}: process" in (said := capsys.readouterr().err)
    assert "fills it, since 20" in said
    assert "choose a new folder" in said


@pytest.mark.parametrize("words", [("--seed", 7), *MORE_WORDS])
def test_a_folder_that_another_preparation_filled(words, prepare, tmp_path, contents, capsys):
    for first, second in (((), words), (words, ())):
        assert prepare(*first).code == 0
        before = contents(tmp_path / "set")
        capsys.readouterr()
        assert prepare(*second).code == 2
        assert words[0].strip("-") in capsys.readouterr().err
        assert contents(tmp_path / "set") == before
        assert prepare(*first).code == 0
        assert contents(tmp_path / "set") == before
        shutil.rmtree(tmp_path / "set")


def test_a_filled_folder_that_lost_a_picture_is_still_that_of_its_preparation(
    prepare, tmp_path, monkeypatch
):
    """Also where restoring it was stopped before a picture was placed."""
    folder = tmp_path / "set"
    assert prepare().code == 0
    (folder / min(listed(folder))).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "plan_dataset", stop)
        assert prepare().code == 130
    assert prepare("--seed", 7).code == 2
    assert prepare().code == 0
    assert pictures(folder) == listed(folder)


def test_a_folder_in_which_only_the_mark_was_begun_is_empty(prepare, tmp_path, contents):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / f"{MARK}.part").write_text("{")
    assert prepare().code == 0
    assert pictures(folder) == listed(folder)
    assert not [name for name in contents(folder) if ".part" in name]


def stop(*_arguments: object, **_more: object) -> None:
    raise KeyboardInterrupt


def try_operations(prepare, folder: Path, contents, numbers: list[int]) -> None:
    for number in numbers:
        assert killed_before(number, prepare, folder) == number
        killed_before(max(1, number // 2), prepare, folder)  # and once more, on the way
        placed, before = pictures(folder), contents(folder) if folder.is_dir() else {}
        code = prepare("--seed", 7).code
        assert code in ((2,) if placed else (0, 2))
        if code == 2:  # at the latest when it was about to place pictures
            kept = {n: c for n, c in contents(folder).items() if "lock" not in n}
            assert kept == {n: c for n, c in before.items() if "lock" not in n}
            assert prepare().code == 0
        assert pictures(folder) == listed(folder)
        assert not [name for name in contents(folder) if "lock" in name or ".part" in name]
        shutil.rmtree(folder)


def test_killed_before_operations_on_the_disk(prepare, tmp_path, contents):
    folder = tmp_path / "set"
    total = killed_before(0, prepare, folder)
    shutil.rmtree(folder)
    numbers = random.Random(1).sample(range(1, total + 1), TRIED)
    try_operations(prepare, folder, contents, numbers)


@pytest.mark.slow
@NO_HURRY
def test_killed_before_every_operation_on_the_disk(prepare, tmp_path, contents):
    folder = tmp_path / "set"
    total = killed_before(0, prepare, folder)
    shutil.rmtree(folder)
    print(f"{total} operations on the disk")  # shown by -s
    try_operations(prepare, folder, contents, [*range(1, total + 1)])
