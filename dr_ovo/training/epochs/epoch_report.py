"""What is reported per epoch: history row, log line, progress note, pair metrics, peak memory."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from typing import Any

import torch

from dr_ovo.logs import duration
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.running_loss import mean_losses


def history_row(
    epoch: int, trainer: BranchTrainer, measured: dict[str, Any], seconds: float, rate: float
) -> dict[str, Any]:
    """A branch's row of history.csv: what was `measured` on images, in an epoch of so many seconds
    that trained on `rate` images a second."""
    return {
        "epoch": epoch,
        "branch": trainer.spec.name,
        "lr": trainer.rate,
        **measured,
        "seconds": round(seconds, 2),
        "images_per_second": round(rate, 2),
        "peak_memory_mb": round(peak_memory_mb(trainer.precision.device)),
        "skipped_steps": trainer.skipped_steps,
        "micro_batch": trainer.micro_batch.size,
        "rate_scale": trainer.rate_scale,
    }


def epoch_line(
    row: dict[str, Any], epochs: int, loss: float, seconds_left: float, notes: Sequence[str]
) -> str:
    """A history row as a log line; `loss` is the mean over the epoch's training batches."""
    parts = [
        f"epoch {row['epoch']}/{epochs}",
        row["branch"],
        f"loss {loss:.4f}",
        f"val loss {_number(row['val_loss'], 4)}",
        f"val accuracy {_number(row['val_accuracy'], 3)}",
        f"AUC {_number(row['val_auc'], 3)}",
        f"kappa {_number(row['val_kappa'], 3)}",
        f"lr {row['lr']:.1e}",
        f"{row['seconds']:.0f} s ({row['images_per_second']:.1f} images/s)",
        f"at most {duration(seconds_left)} to go",
    ]
    return "  ".join([*parts, *filter(None, notes)])


def running_note(trainers: Sequence[BranchTrainer]) -> str:
    """The mean loss so far over the branches, and the learning rate; waits once for the device."""
    losses = mean_losses([t.running_loss for t in trainers if t.done])
    shown = f"{sum(losses) / len(losses):.4f}" if losses else "-"
    return f"loss {shown}, lr {trainers[0].rate:.1e}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def pair_rows(
    val: list[dict[str, Any]], train: list[dict[str, Any]] | None
) -> list[dict[str, Any]]:
    """The pairs' metrics as stored in checkpoints, from those on val and on the train sample."""
    train_accuracy = {tuple(row["pair"]): row["accuracy"] for row in train or []}
    names = ("accuracy", "auc", "sensitivity", "specificity")
    return [
        {
            "pair": row["pair"],
            "n": row["n"],
            **{f"val_{name}": row[name] for name in names},
            "train_accuracy": train_accuracy.get(tuple(row["pair"])),
        }
        for row in val
    ]


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory since the start, in MiB: of the GPU, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
