"""The measurements of one call, one after the other, as long as there is time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.on_gpu.plan import Measurement
from benchmarks.on_gpu.record import Record
from benchmarks.on_gpu.running import DONE, SKIPPED, Outcome

Run = Callable[[Measurement, float], Outcome]
AT_MOST = 3.0  # times the seconds that a measurement is thought to take


def measure_all(
    plan: Sequence[Measurement],
    record: Record,
    run: Run,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Runs what the record lacks until `deadline`, a time of `clock`. A measurement begins only
    where the seconds that it is thought to take are left. It may take three times as many; all that
    is left, where it has run out of time before."""
    for one in record.to_do(plan):
        if why := one.why_not(record.head):
            record.add(one, Outcome(SKIPPED, why))
            continue
        left = deadline - clock()
        if left < one.seconds:
            record.leave_out(one, f"{max(0, left):.0f} s were left, and it takes {one.seconds:g}")
            continue
        limit = left if record.ran_out_of_time(one) else min(left, AT_MOST * one.seconds)
        outcome = run(one, limit)
        record.add(one, outcome)
        _say(f"{one.name}: {_said(outcome)} ({outcome.seconds:.0f} s)")


def _said(outcome: Outcome) -> str:
    found = [f"{row['name']} {_number(row['value'])}" for row in outcome.rows]
    if outcome.status != DONE:
        found.insert(0, f"{outcome.status}: {outcome.reason}")
    return ", ".join(found)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
