"""No process outlives the command that started it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from dr_ovo.synthetic.simulated_results import simulate

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30.0  # for a process to be seen, or to end, on a busy machine
MARK = "DR_OVO_TEST_MARK"
PROC = Path("/proc")
pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="processes are listed in /proc")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, 100, 1)
    return folder


def marked(mark: str) -> set[int]:
    """The processes that a command with this mark in its environment has started, and itself."""
    found = set()
    for folder in PROC.iterdir():
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
        except (OSError, ValueError):
            continue
    return found


def started(results: Path, page: Path) -> tuple[subprocess.Popen[bytes], str]:
    mark = uuid.uuid4().hex
    words = [sys.executable, "report.py", "--results_dirs", *folders(results)]
    process = subprocess.Popen(
        [*map(str, words), "--output", str(page)],
        cwd=ROOT,
        env={**os.environ, MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return process, mark


def folders(results: Path) -> list[Path]:
    return sorted(results.glob("*_results"))


def wait_until(condition) -> bool:
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def kill(results: Path, tmp_path: Path, number: signal.Signals, after: float) -> int:
    """Starts a report, sends the signal so many seconds after its processes have started, and
    returns its exit code, when all of them have ended."""
    process, mark = started(results, tmp_path / "report.html")
    assert wait_until(lambda: len(marked(mark)) > 2 or process.poll() is not None)
    time.sleep(after)
    process.send_signal(number)
    code = process.wait(SECONDS)
    assert wait_until(lambda: not marked(mark)), f"left: {marked(mark)}"
    return code


ENDS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}


def test_a_killed_report_leaves_no_process(results, tmp_path):
    assert kill(results, tmp_path, signal.SIGKILL, 0.0) == -9


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", ENDS)
def test_reports_killed_at_random_moments_leave_no_process(number, results, tmp_path):
    chance = random.Random(number)
    codes = {kill(results, tmp_path, number, chance.uniform(0.0, 3.0)) for _ in range(10)}
    assert ENDS[number] in codes <= {ENDS[number], 0}
