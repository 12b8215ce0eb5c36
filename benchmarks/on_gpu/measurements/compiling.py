"""`--compile`: what it gains in an epoch, and how long compiling takes."""

from __future__ import annotations

import time
from contextlib import ExitStack

import numpy as np

from benchmarks.on_gpu.rows import Emit, row
from benchmarks.on_gpu.setting import LARGE, Setting, by_turns
from benchmarks.results import NotMeasured

PLAIN, COMPILED = "plain", "compiled"


def measure(setting: Setting, alias: str, emit: Emit) -> None:
    """The plain epoch's time over the compiled one's, and the seconds of compiling.

    Raises NotMeasured where it can't be compiled here."""
    flags = {PLAIN: (), COMPILED: ("--compile",)}
    with ExitStack() as opened:
        ways = {
            name: opened.enter_context(setting.training(LARGE, setting.large_steps(alias, *more)))
            for name, more in flags.items()
        }
        ways[PLAIN].train_epoch()
        start = time.perf_counter()
        ways[COMPILED].train_epoch()
        first = time.perf_counter() - start
        if not ways[COMPILED].model.compiled:
            raise NotMeasured("torch.compile did not work here; the log says why")
        times = by_turns({name: made.train_epoch for name, made in ways.items()}, setting.seconds)
    found, unit = times.ratio(PLAIN, COMPILED), "plain time / compiled"
    emit(row(f"compile_gain_{alias}", found, unit))
    seconds = max(0.0, first - float(np.median(times.wall[COMPILED])))
    emit(row(f"compile_seconds_{alias}", seconds, "s", note="of the first epoch, less a later one"))
