"""The locks on folders: one kind of work at a time, whatever the folder is called."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dr_ovo.errors import UserError
from dr_ovo.locks.folders import (
    DIVISION,
    EVALUATION,
    TRAINING,
    is_lock,
    joint_writers,
    only_writer,
)
from dr_ovo.locks.lock_file import InUse


def assert_locked(folder: Path) -> None:
    with pytest.raises(InUse), only_writer(folder, TRAINING):
        raise AssertionError("both have it")


def test_a_folder_that_was_made_for_nothing_is_removed(tmp_path):
    with only_writer(tmp_path / "a" / "b", TRAINING):
        names = [path.name for path in (tmp_path / "a" / "b").iterdir()]
        assert sorted(names) == [".training.lock", ".training.lock.json"]
        assert all(map(is_lock, names))
    assert not [*tmp_path.iterdir()]
    assert not is_lock("config.json")


def test_a_folder_that_was_written_stays(tmp_path):
    with only_writer(tmp_path / "a" / "b", TRAINING):
        (tmp_path / "a" / "b" / "config.json").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["config.json"]
    with only_writer(tmp_path / "a", TRAINING):
        pass
    assert (tmp_path / "a").is_dir()


def test_two_spellings_and_links_of_one_folder(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real").mkdir()
    monkeypatch.chdir(tmp_path)
    with only_writer(Path("real"), TRAINING):
        for other in (tmp_path / "link", Path("real/../real"), Path("./link/.")):
            assert_locked(other)


def test_a_link_to_nothing_and_a_file_are_left_to_what_writes_there(tmp_path):
    (tmp_path / "link").symlink_to("nowhere/at/all")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with only_writer(folder, TRAINING):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_different_work_in_one_folder(tmp_path):
    with only_writer(tmp_path, TRAINING), only_writer(tmp_path, EVALUATION):
        assert_locked(tmp_path)


def test_a_missing_folder_is_only_made_where_something_is_to_be_written(tmp_path):
    with only_writer(tmp_path / "typo", EVALUATION, make=False):
        assert not (tmp_path / "typo").exists()


def test_a_planted_link_in_the_place_of_a_lock(tmp_path):
    (tmp_path / TRAINING.lock).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="can't be locked"), only_writer(tmp_path, TRAINING):
        raise AssertionError("it was locked")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_another_process_removes_again(tmp_path, monkeypatch):
    """It had made it a moment ago, for nothing."""
    folder, make = tmp_path / "a", Path.mkdir
    removals = iter(range(3))

    def make_and_lose(path: Path, *args: object, **kwargs: object) -> None:
        make(path, *args, **kwargs)
        if next(removals, None) is not None:
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", make_and_lose)
    with only_writer(folder, TRAINING):
        assert (folder / TRAINING.lock).is_file()


def test_members_of_folds_share_a_folder_in_turn(tmp_path):
    order = []

    def second() -> None:
        with joint_writers([tmp_path]):
            order.append("second")

    thread = threading.Thread(target=second)
    with only_writer(tmp_path, DIVISION):
        thread.start()
        thread.join(0.7)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    with only_writer(tmp_path, TRAINING), pytest.raises(InUse), joint_writers([tmp_path]):
        raise AssertionError("both have it")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_left_to_what_writes_there(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with only_writer(tmp_path, TRAINING), only_writer(tmp_path / "a", TRAINING):
            pass
    finally:
        tmp_path.chmod(0o755)
