"""A training whose GPU is full in the middle: it goes on in smaller parts, with the same losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from benchmarks.on_gpu.rows import Emit, row
from benchmarks.on_gpu.setting import SMALL, Setting
from benchmarks.trainings import Training
from dr_ovo.errors import MachineError

EPOCHS, TOLERANCE = 3, 0.02
WINDOW, FITS = 64, 16  # images
QUICK_WINDOW, QUICK_FITS = 8, 2


@dataclass(frozen=True)
class Run:
    """The mean losses of a training's epochs, the sizes of its micro-batches at the beginning and
    at the end, and the peak of its GPU's memory in bytes (0 on the CPU)."""

    losses: tuple[float, ...]
    sizes: tuple[int, int]
    peak: int


# A training, and the peaks of memory with small and with large micro-batches -> a context in which
# the large ones don't fit.
Limit = Callable[[Training, int, int], AbstractContextManager[None]]


@contextmanager
def limit_between(_made: Training, small: int, large: int) -> Iterator[None]:
    """Within the context a process may allocate half as much as lies between the two peaks."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (small + large) / 2 / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def measure(setting: Setting, alias: str, emit: Emit, limit: Limit = limit_between) -> None:
    """Whether it was survived, and how far the losses are from those with small micro-batches."""
    window, fits = (QUICK_WINDOW, QUICK_FITS) if setting.quick else (WINDOW, FITS)
    small = _run(setting, alias, window, fits)
    large = _run(setting, alias, window, window)
    try:
        full = _run(
            setting, alias, window, window, lambda made: limit(made, small.peak, large.peak)
        )
    except MachineError as error:
        emit(row("full_memory_survived", False, "yes or no", goal=True, note=str(error)))
        return
    halved = full.sizes[1] < full.sizes[0]
    beside = {"micro-batch": " to ".join(map(str, full.sizes)), "window": window}
    note = "" if halved else "the memory was not full"
    emit(row("full_memory_survived", halved, "yes or no", goal=True, beside=beside, note=note))
    emit(
        row(
            "full_memory_losses",
            _distance(small, full),
            f"largest relative difference in {EPOCHS} epochs",
            goal=TOLERANCE,
            at_least=False,
            beside={
                f"micro-batches of {window} against {fits}, memory never full": _distance(
                    small, large
                ),
                "losses": [round(loss, 5) for loss in full.losses],
                f"losses with micro-batches of {fits}": [round(x, 5) for x in small.losses],
            },
        )
    )


def _run(
    setting: Setting,
    alias: str,
    window: int,
    micro_batch: int,
    limit: Callable[[Training], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> Run:
    steps = ("--batch_size", str(window), "--gradient_accumulation_steps", "1")
    steps = (*steps, "--micro_batch", str(micro_batch), "--freeze_weights", "false")
    flags = setting.flags(alias, *steps, "--warmup_epochs", "0", "--learning_rate", "1e-4")
    cuda = setting.device == "cuda"
    with setting.training(SMALL, flags) as made:
        before = made.model.micro_batch.size
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        with limit(made):
            losses = tuple(sum(made.train_epoch().values()) for _ in range(EPOCHS))
        peak = torch.cuda.max_memory_allocated() if cuda else 0
        return Run(losses, (before, made.model.micro_batch.size), peak)


def _distance(one: Run, other: Run) -> float:
    """The largest relative difference of two loss curves."""
    return max(abs(a - b) / abs(a) for a, b in zip(one.losses, other.losses, strict=True))
