"""Measurements in processes of their own, each with a time limit after which it is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.on_gpu.plan import Measurement
from benchmarks.on_gpu.rows import Row
from benchmarks.on_gpu.worker import FAILED, NOT_HERE

DONE, SKIPPED, OUT_OF_TIME, FAILED_STATUS = "done", "skipped", "out of time", "failed"
END_SECONDS = 3.0  # for a killed process to go; one that waits for a driver may stay
LOG_CHARACTERS = 3000


@dataclass(frozen=True)
class Outcome:
    """How a measurement ended, and why, unless it is done; its rows, also where it was stopped."""

    status: str
    reason: str = ""
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    log: str = ""


class Workers:
    """Runs measurements one after the other. While one runs, the process of the next already
    imports the modules `preloaded`, if `ahead`."""

    def __init__(
        self,
        folder: Path,
        setting: Mapping[str, Any],
        environment: Mapping[str, str],
        preloaded: Sequence[str] = (),
        *,
        ahead: bool = False,
    ) -> None:
        self.folder, self.setting = folder, setting
        self.environment, self.preloaded, self.ahead = environment, preloaded, ahead
        self._count = 0
        self._running: list[subprocess.Popen[bytes]] = []
        self._next: tuple[subprocess.Popen[bytes], Path] | None = None

    def run(self, measurement: Measurement, limit: float) -> Outcome:
        """The outcome of a measurement that may take `limit` seconds."""
        start = time.monotonic()
        process, log = self._next or self._start()
        self._next = None
        answers = log.with_suffix(".jsonl")
        job = {
            "module": measurement.module,
            "argument": measurement.argument,
            "setting": self.setting,
            "seconds": limit,
            "answers": str(answers),
        }
        with contextlib.suppress(OSError):  # it has ended already; its exit code says so
            assert process.stdin is not None
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.close()
        if self.ahead:
            self._next = self._start()
        stopped = False
        try:
            process.wait(max(0.0, limit - (time.monotonic() - start)))
        except subprocess.TimeoutExpired:
            stopped = True
        self._end(process)
        seconds = time.monotonic() - start
        return _outcome(process.returncode, answers, log, seconds, limit if stopped else None)

    def _start(self) -> tuple[subprocess.Popen[bytes], Path]:
        self._count += 1
        log = self.folder / f"log{self._count}.txt"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.on_gpu.worker", *self.preloaded],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=dict(self.environment),
                start_new_session=True,
            )
        self._running.append(process)
        return process, log

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Kills a process with all that it has started, and waits a little for it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        self._running.remove(process)

    def close(self) -> None:
        """Ends all processes."""
        for process in list(self._running):
            self._end(process)
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        self._next = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, _kind: object, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def _outcome(
    code: int | None, answers: Path, log: Path, seconds: float, limit: float | None
) -> Outcome:
    """From what a process has left; `limit`: it was killed after so many seconds."""
    found = _read(answers)
    rows = [one["row"] for one in found if "row" in one]
    tail = log.read_text(errors="backslashreplace")[-LOG_CHARACTERS:]
    seconds = round(seconds, 1)
    if limit is not None:
        reason = f"killed after {limit:.0f} s"
        return Outcome(OUT_OF_TIME, reason, rows, seconds, tail)
    if said := [one[NOT_HERE] for one in found if NOT_HERE in one]:
        return Outcome(SKIPPED, said[0], rows, seconds, tail)
    if said := [one[FAILED] for one in found if FAILED in one]:
        return Outcome(FAILED_STATUS, said[0], rows, seconds, tail)
    if code:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Outcome(FAILED_STATUS, f"its process ended with {how}", rows, seconds, tail)
    return Outcome(DONE, "", rows, seconds)


def _read(answers: Path) -> list[dict[str, Any]]:
    """The lines of JSON that are whole."""
    if not answers.is_file():
        return []
    found = []
    for line in answers.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # a line that was being written
            found.append(json.loads(line))
    return found
