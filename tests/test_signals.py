"""Ctrl-C and SIGTERM while packages load: 130 and 143, and not a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dr_ovo import signals

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
        (["ensemble_5class_trainer.py", "--base_models", "resnet50"], "timm"),
        (["ensemble_5class_trainer.py", "--mode", "inference", "--input", "x"], "torch"),
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
