"""Images a second of an architecture: our whole training step, a bare loop, and inference.

Ours is the training part of an epoch in steps of 128, photographs from the cache, augmented. The
bare loop has its batches normalised in the GPU's memory, in NCHW and in channels_last; the faster
of the two is what ours is held against.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.on_gpu.rows import Emit, rate, row
from benchmarks.on_gpu.setting import LARGE, Setting, by_turns, waited_for
from benchmarks.timing import Times, Work, spread
from benchmarks.trainer_overhead import FORMATS, BareLoop
from benchmarks.trainings import Training
from dr_ovo.full_memory import release_memory

OURS, GOAL = "ours", 0.90
HELD = 8  # batches of the bare loop
# Images a second in training, as timm's authors published them for an RTX 3090 with mixed precision
# and channels_last; none for coatnet_0_rw_224.
RTX_3090 = {
    "convnext": 819,
    "swinv2": 357,
    "densenet121": 914,
    "efficientnetb2": 979,
    "resnet50": 1218,
    "seresnext50": 815,
}
BANDWIDTH = {"H100": 3.2, "H200": 4.6}  # of the memory, as multiples of an RTX 3090's


def measure(setting: Setting, alias: str, emit: Emit) -> None:
    """Training against the bare loop, and inference."""
    with setting.training(LARGE, setting.large_steps(alias)) as ours:
        images = len(ours.loop.data.train)
        ours.train_epoch()
        how = _of_the_machine(ours)  # before the bare loops take memory, too
        bare, without = _bare_loops(ours, setting.device)
        times = by_turns({OURS: ours.train_epoch, **bare}, setting.seconds)
        emit(
            row(
                f"train_{alias}",
                rate(images, spread(times.wall[OURS])),
                "images/s",
                beside=_published(setting, alias) | how,
            )
        )
        emit(_against_bare(alias, times, ours, images, without))
        inference = by_turns({OURS: lambda: _infer(ours)}, setting.seconds / 3)
        note = "as the toolkit evaluates: in float32 without TF32, 32 images at a time"
        found = rate(images, spread(inference.wall[OURS]))
        emit(row(f"infer_{alias}", found, "images/s", note=note))


def _bare_loops(of: Training, device: str) -> tuple[dict[str, Work], str]:
    """The bare loops for which there is room, warmed up; what the others lacked."""
    found: dict[str, Work] = {}
    without = ""
    for name, memory_format in FORMATS.items():
        work = None
        try:
            work = waited_for(BareLoop(of, memory_format, HELD).train_epoch, device)
            work()
            found[name] = work
        except torch.OutOfMemoryError as error:
            without = f"{name} is missing: {str(error).splitlines()[0]}"
        if name not in found:  # outside the except block, whose traceback holds tensors
            del work
            release_memory()
    return found, without


def _against_bare(
    alias: str, times: Times, ours: Training, images: int, without: str
) -> dict[str, Any]:
    name, unit = f"train_{alias}_of_bare", "bare loop's time / ours"
    bare = [found for found in times.wall if found != OURS]
    if not bare:
        return row(name, None, unit, goal=GOAL, note=without)
    best = times.fastest(*bare)
    same = next(name for name, form in FORMATS.items() if form == ours.memory_format)
    beside = {f"{one}, images/s": round(images / np.median(times.wall[one]), 1) for one in bare}
    if same in bare:
        beside["against the same memory format"] = round(times.ratio(same, OURS).median, 3)
    note = "; ".join(filter(None, [f"held against {best}", without]))
    return row(name, times.ratio(best, OURS), unit, goal=GOAL, beside=beside, note=note)


def _infer(of: Training) -> object:
    return of.loop.validation.outputs(np.arange(len(of.loop.data.train)), of.trainers)


def _published(setting: Setting, alias: str) -> dict[str, Any]:
    """timm's figure of another card, and that times the ratio of the cards' memory bandwidths."""
    if setting.quick or alias not in RTX_3090:
        return {}
    found: dict[str, Any] = {"timm's figure for another card, the RTX 3090": RTX_3090[alias]}
    card = torch.cuda.get_device_name() if setting.device == "cuda" else ""
    for name, factor in BANDWIDTH.items():
        if name in card:
            found[f"that x{factor}, by memory bandwidth"] = round(factor * RTX_3090[alias])
    return found


def _of_the_machine(of: Training) -> dict[str, Any]:
    """How this machine trained it."""
    found: dict[str, Any] = {
        "precision": of.loop.precision.name,
        "memory format": of.network.memory_format,
        "micro-batch": of.model.micro_batch.size,
        "size": of.model.spec.size,
    }
    if of.loop.precision.device.type == "cuda":
        found["peak memory, GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return found
