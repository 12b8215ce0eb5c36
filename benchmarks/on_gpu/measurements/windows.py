"""The wrappers' window of 8 (2 x 4): micro-batches of 2 against those that there is room for."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.on_gpu.rows import Emit, rate, row
from benchmarks.on_gpu.setting import SMALL, Setting, by_turns
from benchmarks.timing import spread

WINDOW = ("--batch_size", "2", "--gradient_accumulation_steps", "4")


def measure(setting: Setting, alias: str, emit: Emit) -> None:
    """Images a second with either, and their ratio."""
    with ExitStack() as opened:
        trainings = {
            micro_batch: opened.enter_context(
                setting.training(SMALL, setting.flags(alias, *WINDOW, "--micro_batch", micro_batch))
            )
            for micro_batch in ("2", "auto")
        }
        times = by_turns(
            {name: made.train_epoch for name, made in trainings.items()}, setting.seconds
        )
        images = len(trainings["auto"].loop.data.train)
        chosen = trainings["auto"].model.micro_batch.size
    for name in trainings:
        beside = {"micro-batch": chosen if name == "auto" else int(name)}
        found = rate(images, spread(times.wall[name]))
        emit(row(f"window_of_8_{alias}_{name}", found, "images/s", beside=beside))
    emit(
        row(
            f"window_of_8_{alias}_gain",
            times.ratio("2", "auto"),
            "time with micro-batches of 2 / with auto",
            beside={"micro-batch that auto chose": chosen},
        )
    )
