"""What the shared one-vs-one head costs: an epoch against one with the softmax head."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.on_gpu.rows import Emit, rate, row
from benchmarks.on_gpu.setting import LARGE, Setting, by_turns
from benchmarks.timing import spread

OVO, SOFTMAX, GOAL = "ovo", "softmax", 0.95


def measure(setting: Setting, alias: str, emit: Emit) -> None:
    """The softmax network's time over the shared one-vs-one network's."""
    with ExitStack() as opened:
        ways = {
            head: opened.enter_context(
                setting.training(LARGE, setting.large_steps(alias, "--head", head))
            )
            for head in (OVO, SOFTMAX)
        }
        times = by_turns({name: made.train_epoch for name, made in ways.items()}, setting.seconds)
        images = len(ways[OVO].loop.data.train)
    beside = {
        f"{name}, images/s": round(rate(images, spread(times.wall[name])).median, 1)
        for name in ways
    }
    found, unit = times.ratio(SOFTMAX, OVO), "softmax's time / shared one-vs-one's"
    emit(row(f"shared_head_{alias}", found, unit, goal=GOAL, beside=beside))
