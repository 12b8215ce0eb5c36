"""Warnings of the other ranks, in the log files of the first one."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch.distributed as dist

from dr_ovo.distributed import launch as module
from dr_ovo.distributed.failures import OwnFailure
from dr_ovo.distributed.launch import launched
from dr_ovo.distributed.passed_warnings import Passed, PassOn
from dr_ovo.distributed.place import Place
from dr_ovo.errors import UserError, log
from dr_ovo.logs import close_log, log_to_file, start_log, stop_file


@pytest.fixture
def file(tmp_path) -> Iterator[Path]:
    """The log file of the first rank."""
    start_log()
    log_to_file(tmp_path / "train.log")
    yield tmp_path / "train.log"
    close_log()


def warnings_of(rank: int, store: dist.Store, *texts: str) -> None:
    """What a rank warns of."""
    handler = PassOn(store, rank)
    log.addHandler(handler)
    for text in texts:
        handler.handle(log.makeRecord(log.name, 30, "", 0, "%s", (text,), None))
    stop_file(handler)


def test_each_is_written_once_into_the_file_and_not_on_the_screen(file, capsys):
    store = dist.HashStore()
    passed = Passed(store, 3)
    passed.take()
    warnings_of(1, store, "first\nand more", "second \x1b")
    passed.take()
    warnings_of(2, store, "third")
    passed.take()
    passed.take()
    said = [line.split(" ", 2)[2] for line in file.read_text().splitlines() if line[:2] == "20"]
    host = socket.gethostname()
    assert said == [
        f"rank 1 on {host}: first",
        f"rank 1 on {host}: second \\x1b",
        f"rank 2 on {host}: third",
    ]
    assert file.read_text().count("and more") == 1
    assert capsys.readouterr() == ("", "")


class Gone(dist.HashStore):
    """A store whose process has ended."""

    def set(self, *_: object) -> None:
        raise dist.DistNetworkError("the connection was closed")

    check = set


def test_a_store_that_is_gone_is_no_error(file):
    store = Gone()
    warnings_of(1, store, "what")
    Passed(store, 2).take()
    assert file.read_text() == ""


@pytest.mark.parametrize("fails", [False, True])
def test_they_have_come_when_a_run_ends(fails, file, monkeypatch):
    store = dist.HashStore()
    monkeypatch.setattr(module, "_connect", lambda: store)
    monkeypatch.setattr(module, "place_in_environment", lambda: Place(0, 2, 0, 2))
    with pytest.raises(OwnFailure) if fails else nullcontext(), launched():
        warnings_of(1, store, "the disk is slow")
        if fails:
            raise UserError("no dataset")
    assert "the disk is slow" in file.read_text()


def test_they_come_while_a_run_lasts(file, monkeypatch):
    store = dist.HashStore()
    monkeypatch.setattr(module, "_connect", lambda: store)
    monkeypatch.setattr(module, "place_in_environment", lambda: Place(0, 2, 0, 2))
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.01)
    with launched():
        warnings_of(1, store, "the disk is slow")
        give_up = time.monotonic() + 20
        while "the disk is slow" not in file.read_text():
            assert time.monotonic() < give_up
            time.sleep(0.01)


def test_only_what_a_rank_warns_of_within_its_run_is_passed_on(monkeypatch):
    store = dist.HashStore()
    monkeypatch.setattr(module, "_connect", lambda: store)
    monkeypatch.setattr(module, "place_in_environment", lambda: Place(1, 2, 1, 2))
    before = list(log.handlers)
    with launched():
        log.info("an epoch")
        log.warning("a warning")
    log.warning("too late")
    assert log.handlers == before
    assert b"a warning" in store.get("warning of rank 1, 0")
    assert not store.check(["warning of rank 1, 1"])


@pytest.mark.slow
def test_a_warning_of_the_second_rank_is_in_the_log(small, three_grades, start_ranks, tmp_path):
    """Each rank of independent mode reads all photographs, one of which is written meanwhile."""
    data = shutil.copytree(three_grades, tmp_path / "data")
    started = start_ranks(
        *small, "--num_classes", 3, "--epochs", 20, "--ovo_mode", "independent",
        "--dataset_path", data, "--output_dir", tmp_path / "results",
    )  # fmt: skip
    started.wait_for("epoch 2/20")
    os.utime(next((data / "train" / "1").iterdir()))
    assert started.wait() == [0, 0], started.output
    said = "1 file was written or replaced while this ran"
    text = (tmp_path / "results" / "train.log").read_text()
    assert f"rank 1 on {socket.gethostname()}: {said}" in text
    assert f"rank 1: {said}" in started.output  # on its own screen
    assert f"rank 1 on {socket.gethostname()}" not in started.output
