"""Builds that are killed, disturbed by a full disk, or two at once: what stands is whole."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dr_ovo.decoded.build import Built, build
from dr_ovo.decoded.build_lock import build_lock
from dr_ovo.decoded.decoded_rows import open_rows
from dr_ovo.decoded.places import INDEX, ROWS, store_folder
from dr_ovo.decoded.row_file import RowFile
from tests.conftest import ROOT
from tests.decoded.conftest import PREPROCESSING, ROW_BYTES
from tests.decoded.test_build import all_are_right
from tests.decoded.test_hostile import whole_rows
from tests.fixtures.decoders import NOTES
from tests.fixtures.slow import slow

PHOTOGRAPHS = 40
# Builds, and is killed inside the sixth transaction, when pages of it are in the file already.
KILLED_WHILE_SAVING = """
import os
import signal
import sys
from dr_ovo.caches.signed_cache import SignedCache
from tests.fixtures.build_cache import main

write, saved = SignedCache._write, []

def write_five(self, rows, then):
    saved.append(rows)
    if len(saved) <= 5:
        write(self, rows, then)
        return
    self._connection.execute("PRAGMA cache_size = 1")
    some = [(str(number), number, 0, b"", 0.0, b"") for number in range(5000)]
    self._connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", some)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    SignedCache._write = write_five
    main(*sys.argv[1:])
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory, draw) -> dict[Path, str]:
    return draw(tmp_path_factory.mktemp("disturbed") / "photographs", count=PHOTOGRAPHS)


@contextlib.contextmanager
def building(
    files: dict[Path, str], cache: Path, decoder: str, *more: object
) -> Iterator[subprocess.Popen[str]]:
    """A process that builds; killed at the end."""
    words = [next(iter(files)).parent, cache, PREPROCESSING.size, decoder, *more]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fixtures.build_cache", *map(str, words)],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {NOTES: f"{cache}.notes"},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def noted(cache: Path) -> list[int]:
    """The process of each photograph that was decoded."""
    notes = Path(f"{cache}.notes")
    return [int(line) for line in notes.read_text().split()] if notes.exists() else []


def until(true, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_killed_at_any_time_and_gone_on_with(files, tmp_path):
    cache = tmp_path / "cache"
    for seed in range(2):
        begun = len(noted(cache))
        with building(files, cache, "slow") as process:
            until(lambda begun=begun: len(noted(cache)) > begun + 4)
            time.sleep(random.Random(seed).uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            process.wait()
        pids = set(noted(cache))
        until(lambda pids=pids: not any(map(is_running, pids)))
        whole_rows(cache, files)
    there = whole_rows(cache, files)
    assert 0 < there < PHOTOGRAPHS
    assert build(files, PREPROCESSING, cache, workers=2).added == PHOTOGRAPHS - there
    assert all_are_right(cache, files)
    assert (store_folder(cache, PREPROCESSING) / ROWS).stat().st_size == PHOTOGRAPHS * ROW_BYTES


@pytest.fixture(scope="module")
def killed_while_saving(files, tmp_path_factory) -> Path:
    """A cache of five rows whose builder was killed inside the next transaction of its index."""
    folder = tmp_path_factory.mktemp("half_saved")
    words = [next(iter(files)).parent, folder / "cache", PREPROCESSING.size, "slow"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_SAVING, *map(str, words)],
        cwd=ROOT, check=False, env=os.environ | {NOTES: f"{folder}.notes"},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert journal(folder / "cache").exists()
    return folder / "cache"


@pytest.fixture
def half_saved(killed_while_saving, tmp_path) -> Path:
    """A private copy of it."""
    return shutil.copytree(killed_while_saving, tmp_path / "cache")


def journal(cache: Path) -> Path:
    return store_folder(cache, PREPROCESSING) / f"{INDEX}-journal"


def test_who_only_reads_sees_the_rows_of_a_builder_that_was_killed_inside_a_transaction(
    files, half_saved
):
    assert whole_rows(half_saved, files) == 5
    assert not journal(half_saved).exists()


def test_what_a_builder_at_work_has_not_finished_is_let_be(files, half_saved):
    with build_lock(store_folder(half_saved, PREPROCESSING)):
        whole_rows(half_saved, files)
        assert journal(half_saved).exists()
    assert whole_rows(half_saved, files) == 5


def test_a_transaction_that_can_not_be_undone_costs_only_time(files, half_saved):
    store = store_folder(half_saved, PREPROCESSING)
    before = {path: path.read_bytes() for path in store.iterdir()}
    store.chmod(0o555)
    try:
        assert whole_rows(half_saved, files) == 0
    finally:
        store.chmod(0o755)
    assert {path: path.read_bytes() for path in store.iterdir()} == before


@pytest.mark.parametrize("number", [signal.SIGKILL, *slow(signal.SIGINT, signal.SIGTERM)])
def test_processes_end_with_the_one_that_started_them(files, tmp_path, number):
    cache = tmp_path / "cache"
    with building(files, cache, "endless") as process:
        until(lambda: len(noted(cache)) == 2)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == {2: 130, 9: -9, 15: 143}[number]
    assert "Traceback" not in output
    until(lambda: not any(map(is_running, noted(cache))))


@pytest.mark.slow
def test_what_is_finished_is_kept_when_it_is_stopped(files, tmp_path):
    cache = tmp_path / "cache"
    with building(files, cache, "slow") as process:
        until(lambda: len(noted(cache)) >= 10)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert 5 < whole_rows(cache, files) < PHOTOGRAPHS


@pytest.mark.slow
def test_two_at_once_decode_each_photograph_once(files, tmp_path):
    cache = tmp_path / "cache"
    with building(files, cache, "slow") as one, building(files, cache, "slow") as other:
        said = [process.communicate(timeout=120)[0] for process in (one, other)]
    assert [process.returncode for process in (one, other)] == [0, 0]
    assert len(noted(cache)) == PHOTOGRAPHS
    assert sum(f"added {PHOTOGRAPHS}" in text for text in said) == 1
    assert sum("waiting until it has ended" in text for text in said) == 1
    assert all_are_right(cache, files)


@pytest.mark.slow
def test_a_file_that_can_grow_no_more(files, tmp_path):
    """The limit on the size of files: the system answers as it does where the disk is full."""
    cache = tmp_path / "cache"
    with building(files, cache, "slow", 30 * ROW_BYTES) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "File too large" in output
    assert "are decoded whenever they are read" in output
    assert whole_rows(cache, files) == int(output.rpartition("added ")[2])


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("room", [0, 17])
def test_a_full_disk_keeps_what_stands(files, tmp_path, monkeypatch, caplog, room):
    reserve = RowFile.reserve

    def reserve_some(self: RowFile, count: int) -> None:
        if count > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(self, count)

    monkeypatch.setattr(RowFile, "reserve", reserve_some)
    cache = tmp_path / "cache"
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        built = build(files, PREPROCESSING, cache, workers=2)
    assert built == Built(added=room, refusal="No space left on device")
    assert f"{PHOTOGRAPHS - room} of {PHOTOGRAPHS} photographs are not in it" in caplog.text
    monkeypatch.setattr(RowFile, "reserve", reserve)
    assert whole_rows(cache, files) == room
    assert build(files, PREPROCESSING, cache).added == PHOTOGRAPHS - room
    assert all_are_right(cache, files)


@pytest.mark.usefixtures("in_this_process")
def test_a_file_system_that_reserves_nothing(built, tmp_path, monkeypatch):
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert build(built[1], PREPROCESSING, tmp_path).added == 5
    assert all_are_right(tmp_path, built[1])


@pytest.mark.usefixtures("in_this_process")
def test_a_read_only_store_is_read_and_not_built(built, cache, store, draw, tmp_path):
    more = draw(tmp_path / "more", count=1, first=30)
    before = {path: path.read_bytes() for path in store.iterdir()}
    for folder in (store, cache):
        folder.chmod(0o555)
    try:
        assert build(built[1], PREPROCESSING, cache) == Built()
        outcome = build(built[1] | more, PREPROCESSING, cache)
        assert (outcome.added, outcome.refusal) == (0, "it is read-only")
        assert all_are_right(cache, built[1])
        with open_rows(cache, PREPROCESSING) as rows:
            assert rows.get(*more.values()) is None
    finally:
        for folder in (store, cache):
            folder.chmod(0o755)
    assert {path: path.read_bytes() for path in store.iterdir()} == before


def test_no_cache_folder_can_be_made(built, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = build(built[1], PREPROCESSING, tmp_path / "file" / "cache")
    assert (outcome.added, outcome.refusal) == (0, "Not a directory")
