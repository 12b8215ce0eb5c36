"""Whether a training step ever waits for the GPU, which torch itself watches."""

from __future__ import annotations

import traceback
from pathlib import Path

import torch

from benchmarks.on_gpu.rows import Emit, row
from benchmarks.on_gpu.setting import ROOT, SMALL, Setting
from benchmarks.trainings import Training


def measure(setting: Setting, mode: str, emit: Emit) -> None:
    """Yes or no: an epoch's steps after its first batch, without a single wait."""
    steps = ("--batch_size", "8", "--gradient_accumulation_steps", "1")
    with setting.training(SMALL, setting.flags("resnet50", *steps, "--ovo_mode", mode)) as made:
        made.train_epoch()  # copies what is copied once
        where = _first_wait(made)
    emit(row(f"no_waiting_{mode}", not where, "yes or no", goal=True, note=where))


def _first_wait(made: Training) -> str:
    """Where the next epoch waits for the GPU between its first batch and its end, "" for nowhere.

    The end is left out: there the epoch's loss is read."""
    batches = -(-len(made.loop.data.train) // made.config.stem_batch)

    def watch(number: int) -> None:
        torch.cuda.set_sync_debug_mode("error" if number < batches else "default")

    try:
        made.train_epoch(watch)
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        return f"{str(error).splitlines()[0]}: {_our_line(error)}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return ""


def _our_line(error: BaseException) -> str:
    """The innermost line of this repository in a traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT)]
    return f"{Path(ours[-1].filename).relative_to(ROOT)}:{ours[-1].lineno} {ours[-1].line}"
