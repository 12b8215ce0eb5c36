"""Measurements of benchmarks/gpu.sh in processes: those that fail, crash, hang or are stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.on_gpu.plan import Measurement
from benchmarks.on_gpu.running import Workers

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
import json, os, subprocess, sys, time
from pathlib import Path
from benchmarks.results import NotMeasured

class Setting:
    from_json = dict

def measure(setting, argument, emit):
    emit({"name": argument, "value": 1.0})
    print("from inside")
    place = Path(setting["folder"])
    if argument == "fails":
        raise ValueError("a\\nbug")
    if argument == "lacks":
        raise NotMeasured("no compiler")
    if argument == "crashes":
        os.kill(os.getpid(), 11)
    if argument == "exits":
        os._exit(3)
    if argument == "not a number":
        emit({"value": float("nan")})
    if argument == "hangs":
        child = subprocess.Popen(["sleep", "100"])
        (place / "child").write_text(str(child.pid))
        time.sleep(100)
"""


@pytest.fixture
def workers(tmp_path) -> Iterator[Workers]:
    """Workers whose measurements are those of MODULE."""
    (tmp_path / "fake_measurements.py").write_text(MODULE)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    with Workers(tmp_path, {"folder": str(tmp_path)}, environment, ahead=True) as made:
        yield made


def fake(argument: str) -> Measurement:
    return Measurement(argument, "fake_measurements", argument, 10.0)


def has_ended(process: int) -> bool:
    """Whether it is gone, or only waits for its parent to notice."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_each_ends_in_its_own_way_and_the_others_go_on(workers):
    found = {
        name: workers.run(fake(name), 60.0)
        for name in ("ends", "fails", "lacks", "crashes", "exits", "not a number", "ends again")
    }
    assert {name: one.status for name, one in found.items()} == {
        "ends": "done", "fails": "failed", "lacks": "skipped", "crashes": "failed",
        "exits": "failed", "not a number": "failed", "ends again": "done",
    }  # fmt: skip
    assert found["fails"].reason == "ValueError: a bug"
    assert found["lacks"].reason == "no compiler"
    assert found["crashes"].reason == "its process ended with signal 11"
    assert found["exits"].reason == "its process ended with exit code 3"
    assert all(one.rows == [{"name": name, "value": 1.0}] for name, one in found.items())
    assert "from inside" in found["fails"].log
    assert "in measure" in found["crashes"].log  # faulthandler's traceback


@pytest.mark.slow
def test_one_that_hangs_is_killed_with_what_it_started(workers, tmp_path):
    start = time.monotonic()
    found = workers.run(fake("hangs"), 3.0)
    assert time.monotonic() - start < 30
    assert (found.status, found.reason) == ("out of time", "killed after 3 s")
    assert found.rows == [{"name": "hangs", "value": 1.0}]
    assert "in measure" in found.log  # where it hung
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 10
    while not has_ended(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert has_ended(child)
    assert workers.run(fake("ends"), 60.0).status == "done"


def test_the_process_that_waits_for_the_next_one_goes_at_the_end(workers):
    workers.run(fake("ends"), 60.0)
    (waiting,) = workers._running
    assert waiting.poll() is None
    workers.close()
    assert waiting.poll() is not None
