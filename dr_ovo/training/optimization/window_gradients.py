"""The gradients of a window: forward and backward in micro-batches, done again where memory is
full."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dr_ovo.full_memory import if_full
from dr_ovo.models.losses import CellLoss
from dr_ovo.models.network import Branch
from dr_ovo.models.parts.random_layers import draw_masks, masked_layers
from dr_ovo.models.precision import Precision
from dr_ovo.training.optimization.guarded_optimizer import GuardedOptimizer
from dr_ovo.training.optimization.micro_batch import MicroBatch


class WindowGradients:
    """Computes what a branch's windows give its optimizer, in micro-batches.

    `forward` maps features (B, ...) to logits (B, K): the branch, or something faster that computes
    the same.
    """

    def __init__(
        self, branch: Branch, loss: CellLoss, precision: Precision, micro_batch: MicroBatch
    ) -> None:
        self.forward: Callable[[torch.Tensor], torch.Tensor] = branch
        self.branch, self.loss, self.cells = branch, loss, loss.cells
        self.precision, self.micro_batch = precision, micro_batch
        self._masked = masked_layers(branch)

    def add(
        self,
        optimizer: GuardedOptimizer,
        features: torch.Tensor,
        targets: torch.Tensor,
        seed: int,
        where: str,
        *,
        first: int,
        images: int,
    ) -> torch.Tensor:
        """Adds the gradients of the loss on features (W, ...) and grades (W,); the sum of the cells
        (). They are the rows from `first` on of a window of so many `images`, over which the loss
        is a mean.

        Done again in smaller parts where the GPU's memory is full, which is said with `where` it
        was. Raises MachineError if nothing smaller fits."""
        draw_masks(self._masked, self.micro_batch.window, seed, self.precision.device)
        while True:
            full = ""
            try:
                return self._sum(optimizer, features, targets, seed, first, images)
            except RuntimeError as error:
                full = if_full(error)
            # Outside the except block, whose traceback holds the activations.
            optimizer.forget_gradients()
            self.micro_batch.shrink(full, where)

    def _sum(
        self,
        optimizer: GuardedOptimizer,
        features: torch.Tensor,
        targets: torch.Tensor,
        seed: int,
        first: int,
        images: int,
    ) -> torch.Tensor:
        size, count = self.micro_batch.size, len(targets)
        totals = []
        for start in range(0, count, size):
            rows = slice(start, min(count, start + size))
            for layer in self._masked:
                layer.use(slice(first + rows.start, first + rows.stop))
            if self.branch.draws_on_its_own:
                torch.manual_seed(seed + start)
            logits = self._logits(features[rows])
            total = self.loss(logits, targets[rows]).sum()
            optimizer.backward(total / (self.cells * images))
            totals.append(total.detach())
        return torch.stack(totals).sum()

    def _logits(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, ...) -> logits (B, K), in training mode."""
        live = self.branch.live_batchnorm
        if live and len(features) == 1:  # a single sample has no batch statistics
            self.branch.live_batchnorm = False
            self.branch.train()
        with self.precision.autocast():
            logits = self.forward(features)
        if self.branch.live_batchnorm != live:
            self.branch.live_batchnorm = live
            self.branch.train()
        return logits

    def rehearse(self, optimizer: GuardedOptimizer, features: torch.Tensor) -> None:
        """Forward and backward of features (B, ...) as in training, which changes nothing."""
        draw_masks(self._masked, len(features), 0, self.precision.device)
        self.branch.train()
        with self.precision.autocast():
            logits = self.branch(features)
        grades = torch.zeros(len(features), dtype=torch.int64, device=features.device)
        optimizer.backward(self.loss(logits, grades).sum())
        optimizer.forget_gradients()
