"""The facts on who holds a lock tell whether that process still runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from dr_ovo.locks import holder as module
from dr_ovo.locks.holder import State, read_facts, this_process, write_facts


def test_this_process_runs(tmp_path):
    own = this_process()
    write_facts(tmp_path / "facts", own)
    assert read_facts(tmp_path / "facts") == own
    assert own.state is State.RUNS
    assert f"process {os.getpid()} on {own.host} (" in own.said


def test_a_process_that_has_ended():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        its = replace(this_process(), pid=child.pid, started=module._started(child.pid))
        assert its.state is State.RUNS
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has no parent's word yet
        assert its.state is State.ENDED
    assert its.state is State.ENDED


def test_another_process_of_the_same_number():
    own = this_process()
    assert replace(own, started=own.started + 1).state is State.ENDED
    assert replace(own, started=-1).state is State.RUNS


@pytest.mark.parametrize("name", ["host", "machine", "space"])
def test_a_process_of_another_machine_or_container_is_unknown(name):
    assert replace(this_process(), **{name: "other"}).state is State.ELSEWHERE


def test_a_machine_that_was_started_again():
    own = this_process()
    before = replace(own, boot="before")
    assert before.state is (State.ENDED if own.machine else State.ELSEWHERE)


def test_a_machine_without_an_id_may_be_another_one_of_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "MACHINE_ID", tmp_path / "none")
    assert replace(this_process(), boot="before").state is State.ELSEWHERE


def test_where_the_system_tells_nothing_of_processes_their_number_decides(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "PROC", tmp_path / "none")
    own = this_process()
    assert own.started == -1
    assert own.state is State.RUNS
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
        assert replace(own, pid=child.pid).state is State.ENDED


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", "null", '{"pid": 1}', "[" * 5000, '{"pid": true}', '{"pid": -1}'],
)
def test_damaged_facts_name_nobody(content, tmp_path):
    (tmp_path / "facts").write_text(content)
    assert read_facts(tmp_path / "facts") is None


@pytest.mark.parametrize(
    ("key", "value"), [("pid", True), ("pid", 0), ("host", 3), ("since", None)]
)
def test_facts_of_other_types_name_nobody(key, value, tmp_path):
    (tmp_path / "facts").write_text(json.dumps(asdict(this_process()) | {key: value}))
    assert read_facts(tmp_path / "facts") is None


def test_facts_are_no_link_and_no_pipe(tmp_path):
    write_facts(tmp_path / "facts", this_process())
    (tmp_path / "link").symlink_to("facts")
    os.mkfifo(tmp_path / "pipe")
    assert read_facts(tmp_path / "link") is None
    assert read_facts(tmp_path / "pipe") is None
    with pytest.raises(FileExistsError):
        write_facts(tmp_path / "link", this_process())
