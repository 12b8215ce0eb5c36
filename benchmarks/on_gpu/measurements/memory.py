"""Whether an architecture trains with its wrapper's settings on a card of 16 GB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch

from benchmarks.on_gpu.rows import Emit, Row, row
from benchmarks.on_gpu.setting import SMALL, Setting, train_on
from dr_ovo.errors import MachineError, UserError
from dr_ovo.training.epochs.epoch_report import peak_memory_mb

LIMIT = 16e9  # bytes
MODES = ("shared", "independent")
WINDOWS = 3  # of each branch
NOTE = (
    "the card is made to look like one of 16 GB, less what a process takes beside torch's "
    "allocations; three steps of each branch and a validation"
)


def measure(setting: Setting, alias: str, emit: Emit) -> None:
    """Peak memory in either mode, and the micro-batch that auto chose."""
    with _card_of(LIMIT, setting.device):
        for mode in MODES:
            emit(_of_mode(setting, alias, mode))


def _of_mode(setting: Setting, alias: str, mode: str) -> Row:
    name, unit = f"memory_{alias}_{mode}", f"GB, of {LIMIT / 1e9:g}"
    try:
        with setting.training(SMALL, setting.flags(alias, "--ovo_mode", mode)) as made:
            chosen = made.model.micro_batch.size
            train_on(made, WINDOWS)
            first = len(made.loop.data.train)
            val = made.loop.data.targets[first:]
            made.loop.validation.outputs(first + torch.arange(len(val)).numpy(), made.trainers)
            ended = made.model.micro_batch.size
            peak = peak_memory_mb(made.loop.precision.device) * 2**20 / 1e9
            beside = {
                "micro-batch that auto chose": chosen,
                "window": made.config.window,
                "gradient checkpointing": made.network.checkpointing,
                "size": made.model.spec.size,
                "branches": len(made.trainers),
            }
    except (MachineError, UserError, torch.OutOfMemoryError) as error:
        return row(name, None, unit, goal=LIMIT / 1e9, at_least=False, note=str(error))
    if setting.device == "cuda":
        beside["reserved, GB"] = round(torch.cuda.max_memory_reserved() / 1e9, 2)
    note = NOTE if ended == chosen else f"{NOTE}; it had to go down to {ended} images"
    return row(name, peak, unit, goal=LIMIT / 1e9, at_least=False, beside=beside, note=note)


@contextmanager
def _card_of(size: float, device: str) -> Iterator[None]:
    """Within the context the GPU has no more memory than `size` bytes, also where it is asked."""
    if device != "cuda":
        yield
        return
    total = torch.cuda.get_device_properties(0).total_memory

    def as_if(_device: object = None) -> tuple[int, int]:
        return max(0, int(size) - torch.cuda.memory_reserved()), int(size)

    torch.cuda.set_per_process_memory_fraction(min(1.0, size / total))
    try:
        with mock.patch.object(torch.cuda, "mem_get_info", as_if):
            yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
