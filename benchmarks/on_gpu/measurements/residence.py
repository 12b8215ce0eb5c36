"""Decoded photographs that stay in the GPU's memory, against copies from pinned memory."""

from __future__ import annotations

from contextlib import ExitStack

import torch

from benchmarks.on_gpu.rows import Emit, rate, row
from benchmarks.on_gpu.setting import LARGE, Setting, by_turns
from benchmarks.timing import spread
from benchmarks.trainings import Training
from dr_ovo.batches.on_device import Resident

RESIDENT, COPIED = "resident", "copied"


def measure(setting: Setting, alias: str, emit: Emit) -> None:
    """Images a second in training of both, and the gain."""
    with ExitStack() as opened:
        ways = {
            name: opened.enter_context(setting.training(LARGE, setting.large_steps(alias)))
            for name in (RESIDENT, COPIED)
        }
        _keep(ways[RESIDENT], torch.device(setting.device))
        ways[COPIED].loader._resident = None
        times = by_turns({name: made.train_epoch for name, made in ways.items()}, setting.seconds)
        images = len(ways[RESIDENT].loop.data.train)
    for name in ways:
        found = rate(images, spread(times.wall[name]))
        emit(row(f"cache_{name}_{alias}", found, "images/s"))
    found, unit = times.ratio(COPIED, RESIDENT), "time with copies / with residence"
    emit(row(f"cache_resident_gain_{alias}", found, unit))


def _keep(made: Training, device: torch.device) -> None:
    """Has the photographs stay on the device, where the loader found too little free memory."""
    loader = made.loader
    if loader._resident is None:
        loader._resident = Resident(len(loader.paths), made.config.img_size, device)
