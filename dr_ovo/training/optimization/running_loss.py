"""The mean training loss of an epoch, gathered on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class RunningLoss:
    """The sum of the loss over samples of `cells` cells each, so far; nothing waits for it."""

    def __init__(self, cells: int, device: torch.device) -> None:
        self.cells = cells
        self.sums = torch.zeros(2, device=device)  # of the loss, and of its samples

    def add(self, total: torch.Tensor, samples: int) -> None:
        """Adds the sum over the cells of a micro-batch, (); one that overflowed is left out, as its
        step is."""
        total = total.detach()
        finite = total.isfinite()
        self.sums += torch.stack([total.nan_to_num(0.0, 0.0, 0.0), finite * samples])


def mean_losses(losses: Sequence[RunningLoss]) -> list[float]:
    """The mean of each per cell, 0 without samples; waits once for the device."""
    if not losses:
        return []
    sums = torch.stack([loss.sums for loss in losses]).tolist()
    return [
        total / max(1, samples * loss.cells)
        for (total, samples), loss in zip(sums, losses, strict=True)
    ]
