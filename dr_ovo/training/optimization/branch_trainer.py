"""Training one branch: AdamW, micro-batches and accumulation, clipping, mixed precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from dr_ovo.device import to_device
from dr_ovo.errors import MachineError
from dr_ovo.models.losses import CellLoss
from dr_ovo.models.network import Branch, BranchSpec, branch_seed
from dr_ovo.models.precision import Precision
from dr_ovo.settings.groups.schedule import ScheduleOptions
from dr_ovo.training.optimization.feature_queue import FeatureQueue
from dr_ovo.training.optimization.guarded_optimizer import GuardedOptimizer
from dr_ovo.training.optimization.running_loss import RunningLoss, mean_losses
from dr_ovo.training.optimization.schedule import Plateau, Schedule
from dr_ovo.training.optimization.weight_average import WeightAverage


class BranchTrainer:
    """Trains one branch on its own samples, `samples` of them per epoch.

    The loss of a window (an optimizer step) is the sum of its cells over (cells per sample x
    samples in the window), for the last, partial window with its true count: N micro-batches equal
    one large batch.

    `forward` maps features (B, ...) to logits (B, K): the branch, or something faster that computes
    the same.
    """

    def __init__(
        self,
        spec: BranchSpec,
        branch: Branch,
        loss: CellLoss,
        grades: np.ndarray,
        samples: int,
        schedule: Schedule,
        settings: ScheduleOptions,
        precision: Precision,
    ) -> None:
        self.spec, self.branch, self.samples = spec, branch, samples
        self.forward: Callable[[torch.Tensor], torch.Tensor] = branch
        self.loss, self.cells = loss.to(precision.device), loss.cells
        self.schedule, self.settings, self.precision = schedule, settings, precision
        self.plateau = Plateau()
        self.optimizer = GuardedOptimizer(
            branch,
            rate=schedule.peak,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            scaler=precision.scaler(),
            device=precision.device,
            fused=precision.device.type == "cuda",
        )
        self.average = WeightAverage(branch, settings.ema_decay) if settings.ema_decay else None
        self.steps = 0  # windows since the start of the run, including skipped ones
        self.rate = schedule.rate(0)
        self._grades = None if grades.all() else torch.from_numpy(grades)  # (C,) bool: its own
        self.begin_epoch(1)

    def begin_epoch(self, epoch: int) -> None:
        """Empties the queue and the window, discarding what an interrupted epoch left."""
        self.queue = FeatureQueue()
        self.epoch, self.micro_batches, self.done, self.in_window = epoch, 0, 0, 0
        self.running_loss = RunningLoss(self.cells, self.precision.device)
        self.optimizer.begin_epoch()
        self.branch.train()

    def feed(self, features: torch.Tensor, targets: torch.Tensor) -> None:
        """Queues the branch's own samples of features (B, ...); trains on all full micro-batches.

        `targets` (B,) are grades, on the CPU.
        """
        if self._grades is not None:  # chosen on the CPU, which would wait for a GPU's choice
            rows = self._grades[targets].nonzero().squeeze(1)
            rows, targets = to_device(torch.stack([rows, targets[rows]]), features.device)
            features = features[rows]
        self.queue.push(features, to_device(targets, features.device))
        while len(self.queue) >= self.settings.batch_size:
            self._micro_batch(self.settings.batch_size)

    def end_epoch(self) -> float:
        """Trains on the rest of the queue and returns the epoch's mean loss per cell; what
        overflowed in float16 is left out.

        Raises MachineError if gradients were not finite.
        """
        while len(self.queue):
            self._micro_batch(min(len(self.queue), self.settings.batch_size))
        self.require_finite()
        (loss,) = mean_losses([self.running_loss])
        return loss

    def _micro_batch(self, count: int) -> None:
        features, targets = self.queue.pop(count)
        torch.manual_seed(
            branch_seed(self.settings.seed, self.spec.name, self.epoch, self.micro_batches)
        )
        live = self.branch.live_batchnorm
        if live and count == 1:  # a single sample has no batch statistics
            self.branch.live_batchnorm = False
            self.branch.train()
        with self.precision.autocast():
            logits = self.forward(features)
        if self.branch.live_batchnorm != live:
            self.branch.live_batchnorm = live
            self.branch.train()
        total = self.loss(logits, targets).sum()
        self.optimizer.backward(total / (self.cells * self._window_size()))
        self.running_loss.add(total, count)
        self.micro_batches += 1
        self.in_window += count
        if self.in_window == self._window_size():
            self._optimizer_step()

    def _window_size(self) -> int:
        """Samples in the current window; fewer in the last one of an epoch."""
        return min(self.settings.window, self.samples - self.done)

    def _optimizer_step(self) -> None:
        self.rate = self.schedule.rate(self.steps, self.plateau.scale)
        self.optimizer.step(self.rate)
        if self.precision.device.type == "cpu":  # where nothing waits for the answer
            self.require_finite()
        if self.average:
            self.average.update()
        self.steps += 1
        self.done += self.in_window
        self.in_window = 0

    @property
    def skipped_steps(self) -> int:
        """Steps of this epoch that were left out, their gradients not being finite."""
        return self.optimizer.skipped

    def require_finite(self) -> None:
        """Raises MachineError if gradients were not finite, occasional overflow in float16 apart.
        Waits until the device has done all that it was given."""
        if self.optimizer.is_out_of_control():
            raise MachineError(
                f"The gradients of branch {self.spec.name} are no longer finite in epoch "
                f"{self.epoch} (NaN or infinity). The state of the last finished epoch is saved. "
                "Lower --learning_rate, or train with --amp off, in a new folder."
            )

    def evaluated_weights(self) -> AbstractContextManager[Any]:
        """Within the context, the branch has the weights to be evaluated and saved: the moving
        average, if there is one."""
        return self.average.in_place() if self.average else nullcontext()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "branch": self.branch.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            **self.optimizer.state_dict(),
            "plateau": self.plateau.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state from `state_dict`."""
        self.branch.load_state_dict(state["branch"], strict=True)
        if self.average:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state)
        self.plateau = Plateau(**state["plateau"])
        self.steps = state["steps"]
