"""Signals while packages load, after that, and in a training: exit codes, and what still runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dr_ovo import signals
from tests.fixtures.slow import slow

ROOT = Path(__file__).resolve().parents[1]
CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
# Packages swallow what arrives while they load, or make another error of it.
SLOW = """
import pathlib, time
try:
    pathlib.Path({mark!r}).touch()
    time.sleep(60)
except BaseException as error:
    raise ImportError("failed to import") from error
"""


@pytest.fixture(autouse=True)
def _handlers_restored():
    before = {number: signal.getsignal(number) for number in signals.CODES}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), CODES)
@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["report.py"], "numpy"),
        (["-m", "dr_ovo", "prepare"], "cv2"),
        (["ensemble_5class_trainer.py", "--mode", "inference", "--input", "x"], "torch"),
        *slow((["ensemble_5class_trainer.py", "--base_models", "resnet50"], "timm")),
    ],
)
def test_a_signal_while_a_package_loads(words, package, number, code, tmp_path):
    mark = tmp_path / "loading"
    (tmp_path / f"{package}.py").write_text(SLOW.format(mark=str(mark)))
    with subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    ) as process:  # fmt: skip
        start = time.monotonic()
        while not mark.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() - start < 60
            time.sleep(0.02)
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    assert (process.returncode, said) == (code, "")


AROUND_THE_WORK = """
import os, time
from dr_ovo import errors, signals

class Reserve:
    def __index__(self):  # is asked for after the imports, and before the command begins
        if {early}:
            signal_here()
        return 1

def signal_here():
    os.kill(os.getpid(), {number})
    time.sleep(60)

signals.end_at_once()
errors._RESERVE = Reserve()
errors.code_to_end_with(errors.run(lambda: 0))
signal_here()
"""


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(("number", "code"), signals.CODES.items())
def test_a_signal_before_and_after_the_work(number, code, early):
    program = AROUND_THE_WORK.format(number=int(number), early=early)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, text=True, timeout=50,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "")


def test_a_signal_that_was_ignored_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup
    signals.end_at_once()
    signals.raise_errors()
    with signals.importing():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_after_the_imports_signals_are_errors_again():
    signals.raise_errors()
    with signals.importing():
        pass
    with pytest.raises(signals.Terminated):
        signal.raise_signal(signal.SIGTERM)
    assert signals.received_code() == 143
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signals.received_code() == 130
    signals.raise_errors()
    assert signals.received_code() is None


def in_training(work: Callable[[Callable[[], bool]], None], grace: float = 60) -> None:
    """Does `work` as a training does its epochs: signals are noted."""
    signals.raise_errors()
    with signals.deferred(grace) as asked:
        work(asked)


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        (signal.SIGINT, KeyboardInterrupt, 130),
        (signal.SIGTERM, signals.Terminated, 143),
        (signal.SIGHUP, signals.Terminated, 129),
    ],
)
def test_a_deferred_signal_is_raised_at_the_end(number, error, code):
    done = []

    def step(asked: Callable[[], bool]) -> None:
        assert not asked()
        signal.raise_signal(number)
        assert asked()
        done.append("the step")

    with pytest.raises(error):
        in_training(step)
    assert done
    assert signals.received_code() == code
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_the_second_ctrl_c_ends_at_once():
    def step(_: Callable[[], bool]) -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on")

    with pytest.raises(KeyboardInterrupt):
        in_training(step)


def test_the_grace_period_ends():
    def step(_: Callable[[], bool]) -> None:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(60)
        raise AssertionError("it went on")

    with pytest.raises(signals.Terminated):
        in_training(step, grace=0.01)


def test_an_error_of_its_own_wins():
    def step(_: Callable[[], bool]) -> None:
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        in_training(step)
    signals.raise_errors()


def test_an_ignored_hangup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals.raise_errors()
        with signals.deferred(60) as asked:
            signal.raise_signal(signal.SIGHUP)
            assert not asked()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_a_signal_handlers_are_as_they_were():
    before = {number: signal.getsignal(number) for number in (*signals.CODES, signal.SIGALRM)}
    with signals.deferred(60):
        assert signal.getsignal(signal.SIGTERM) is not before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in before} == before
