"""A lock file keeps a second process out, says who has it, and is free with its holder's end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dr_ovo.errors import MachineError
from dr_ovo.locks import lock_file
from dr_ovo.locks.holder import Holder, read_facts, this_process, write_facts
from dr_ovo.locks.lock_file import InUse, Words, facts_file, locked

ROOT = Path(__file__).resolve().parents[2]
WORDS = Words("the folder", "works in it", "take another")
HOLDING = """
import sys
from pathlib import Path
from dr_ovo.locks.lock_file import Words, locked
with locked(Path(sys.argv[1]), Words("", "", "")):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "lock"


@contextmanager
def held_elsewhere(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the lock."""
    command = [sys.executable, "-c", HOLDING, str(file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def refused(file: Path) -> str:
    with pytest.raises(InUse) as found, locked(file, WORDS):
        raise AssertionError("both have it")
    assert found.value.exit_code == 2
    return str(found.value)


def test_the_second_is_told_who_has_it_and_since_when(file):
    with held_elsewhere(file) as process:
        said = refused(file)
        holder = read_facts(facts_file(file))
        assert holder is not None
        assert holder.pid == process.pid
        assert f"the folder: process {process.pid} on {this_process().host} (" in said
        assert f") works in it, since {holder.since}. Wait until it has ended, or take" in said
        assert read_facts(facts_file(file)) == holder


def test_nothing_is_left(file):
    with locked(file, WORDS):
        assert sorted(path.name for path in file.parent.iterdir()) == ["lock", "lock.json"]
    assert not [*file.parent.iterdir()]


def test_the_lock_of_a_killed_process_is_free_at_once(file):
    with held_elsewhere(file) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert facts_file(file).is_file()
        with locked(file, WORDS):
            assert read_facts(facts_file(file)).pid == os.getpid()
    assert not [*file.parent.iterdir()]


def test_waiting_for_another_process(file, caplog):
    with held_elsewhere(file) as process:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        with locked(file, WORDS, wait=True):
            pass
    assert not [*file.parent.iterdir()]


def test_facts_of_a_process_that_has_ended_are_never_shown(file, monkeypatch):
    monkeypatch.setattr(lock_file, "SECONDS_FOR_FACTS", 0.2)
    with locked(file, WORDS):
        facts_file(file).unlink()
        write_facts(facts_file(file), gone())
        assert "another process works in it; which one is not known" in refused(file)


@pytest.mark.slow
def test_who_opened_the_file_before_it_was_removed_locks_the_new_one(file):
    """Many processes take the lock in turn, each removing its file: never two at a time."""
    inside = file.with_name("inside")
    program = f"""
import os, sys, time
from pathlib import Path
from dr_ovo.locks.lock_file import Words, locked
for _ in range(40):
    with locked(Path(sys.argv[1]), Words("", "", ""), wait=True):
        os.close(os.open({str(inside)!r}, os.O_CREAT | os.O_EXCL))
        time.sleep(0.0005)
        os.unlink({str(inside)!r})
"""
    command = [sys.executable, "-c", program, str(file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]


def gone() -> Holder:
    """A process that has ended."""
    own = this_process()
    return replace(own, started=own.started + 1)


@pytest.fixture(params=[OSError(errno.ENOLCK, "No locks"), NotImplementedError("flock")])
def no_locks(request, monkeypatch) -> None:
    """A file system without locks."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise request.param

    monkeypatch.setattr(lock_file.FileLock, "acquire", refuse)
    lock_file._say_no_locks.cache_clear()


@pytest.mark.usefixtures("no_locks")
class TestWithoutLocks:
    def test_it_is_said_once_and_the_run_goes_on_with_facts(self, file, caplog, monkeypatch):
        monkeypatch.setattr(lock_file.log, "propagate", True)
        for _ in range(2):
            with locked(file, WORDS):
                assert read_facts(facts_file(file)) == replace(
                    this_process(), since=read_facts(facts_file(file)).since
                )
        assert caplog.messages[0].startswith(f"{file.parent} lies on a file system without locks")
        assert len(caplog.messages) == 1
        assert not [*file.parent.iterdir()]

    def test_a_process_that_runs_here_refuses(self, file):
        with locked(file, WORDS):
            assert refused(file).endswith("Wait until it has ended, or take another.")

    def test_one_that_has_ended_does_not(self, file):
        write_facts(facts_file(file), gone())
        with locked(file, WORDS):
            assert read_facts(facts_file(file)).pid == os.getpid()

    def test_one_of_another_machine_is_never_taken_over(self, file):
        other = replace(gone(), host="other")
        write_facts(facts_file(file), other)
        said = refused(file)
        assert f"process {other.pid} on other (" in said
        assert f"known to have ended, remove {facts_file(file)}." in said
        assert read_facts(facts_file(file)) == other
        facts_file(file).unlink()
        with locked(file, WORDS):
            pass

    def test_damaged_facts_are_not_taken_over_either(self, file, monkeypatch):
        monkeypatch.setattr(lock_file, "SECONDS_FOR_FACTS", 0.1)
        facts_file(file).write_text("{")
        assert f"remove {facts_file(file)}." in refused(file)

    def test_who_waits_does_without(self, file):
        with locked(file, WORDS, wait=True), locked(file, WORDS, wait=True):
            pass


def failing(monkeypatch, number: int) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock_file.FileLock, "acquire", refuse)


def test_a_full_disk(file, monkeypatch):
    failing(monkeypatch, errno.ENOSPC)
    with pytest.raises(MachineError, match="free some space"), locked(file, WORDS):
        raise AssertionError("it was locked")


def test_a_folder_that_can_not_be_written_is_not_locked(file, monkeypatch, caplog):
    failing(monkeypatch, errno.EROFS)
    with locked(file, WORDS), locked(file, WORDS):
        pass
    assert not caplog.messages


def test_the_lock_of_another_user(file, monkeypatch):
    failing(monkeypatch, errno.EACCES)
    file.touch()
    write_facts(facts_file(file), this_process())
    assert f"process {os.getpid()} on" in refused(file)
    facts_file(file).unlink()
    write_facts(facts_file(file), replace(this_process(), host="other"))
    assert f"another user's: if that run is known to have ended, remove {facts_file(file)}" in (
        refused(file)
    )


def test_a_folder_that_is_removed_meanwhile(file):
    """What another process put in its place stays."""
    folder = file.parent / "gone"
    folder.mkdir()
    with locked(folder / "lock", WORDS):
        folder.rename(file.parent / "moved")
        folder.mkdir()
        (folder / "lock").touch()
        write_facts(folder / "lock.json", gone())
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "lock.json"]


def test_time_of_a_refusal(file):
    with held_elsewhere(file):
        start = time.monotonic()
        refused(file)
        assert time.monotonic() - start < lock_file.SECONDS_FOR_FACTS
