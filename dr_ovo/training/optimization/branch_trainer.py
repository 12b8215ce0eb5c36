"""Training one branch: its own samples, a step of AdamW per window of them, and its state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from dr_ovo.device import to_device
from dr_ovo.distributed.division import share, window_shares
from dr_ovo.distributed.gradient_sum import sum_gradients
from dr_ovo.distributed.ranks import ALONE, Ranks
from dr_ovo.errors import MachineError
from dr_ovo.models.losses import CellLoss
from dr_ovo.models.network import Branch, BranchSpec, branch_seed
from dr_ovo.models.precision import Precision
from dr_ovo.settings.groups.schedule import ScheduleOptions
from dr_ovo.training.optimization.feature_queue import FeatureQueue
from dr_ovo.training.optimization.guarded_optimizer import GuardedOptimizer
from dr_ovo.training.optimization.micro_batch import MicroBatch
from dr_ovo.training.optimization.running_loss import RunningLoss, mean_losses
from dr_ovo.training.optimization.schedule import Plateau, Schedule
from dr_ovo.training.optimization.state_fits import problem_of_state
from dr_ovo.training.optimization.weight_average import WeightAverage
from dr_ovo.training.optimization.window_gradients import WindowGradients


class BranchTrainer:
    """Trains one branch on its own samples, `samples` of them per epoch.

    The loss of a window (an optimizer step) is the sum of its cells over (cells per sample x
    samples in the window), for the last, partial window with its true count: N micro-batches equal
    one large batch, up to rounding, dropout included. Between two calls every window is whole:
    what waits in the queue is of a window that has not begun.

    Of several `ranks` each is fed its share of every window; their gradients are summed before the
    step, which all of them take.
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
        micro_batch: MicroBatch,
        ranks: Ranks = ALONE,
    ) -> None:
        self.spec, self.branch, self.samples = spec, branch, samples
        self.loss, self.cells = loss.to(precision.device), loss.cells
        self.schedule, self.settings, self.precision = schedule, settings, precision
        self.micro_batch, self.ranks = micro_batch, ranks
        self.before_window: Callable[[], object] = bool  # may raise, to leave the window undone
        self.gradients = WindowGradients(branch, self.loss, precision, micro_batch)
        self.plateau = Plateau()
        self.optimizer = GuardedOptimizer(
            branch,
            rate=schedule.peak,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            scaler=precision.scaler(),
            device=precision.device,
            fused=precision.device.type == "cuda",
            layer_decay=settings.layer_decay,
        )
        self.average = WeightAverage(branch, settings.ema_decay) if settings.ema_decay else None
        self.steps = 0  # windows since the start of the run, including skipped ones
        self.rate, self.rate_scale = schedule.rate(0), 1.0  # the scale of `--recover`
        self._within: dict[str, Any] | None = None  # of an epoch that a loaded state is inside
        self._grades = None if grades.all() else torch.from_numpy(grades)  # (C,) bool: its own
        self.begin_epoch(1)

    def begin_epoch(self, epoch: int) -> None:
        """Begins an epoch, or goes on with the one that a loaded state is in the middle of; what
        else was begun is discarded."""
        self.queue = FeatureQueue()
        self.epoch, self.done, self._pass_over = epoch, 0, 0
        self.running_loss = RunningLoss(self.cells, self.precision.device)
        self.optimizer.begin_epoch()
        self.branch.train()
        if self._within is not None:
            self.done, self.rate = self._within["done"], self._within["rate"]
            self.running_loss.sums.copy_(self._within["loss_sums"])
            self.optimizer.restore_counts(self._within["skipped"])
            self._within = None

    def begin_at(self, order: np.ndarray, first: int) -> None:
        """Says that the images of `order` (N,), by their grades, will be fed from number `first`
        on; those of windows that are done already are passed over."""
        self._pass_over = self.own_done - int(self.owns(order[:first]).sum())

    @property
    def own_done(self) -> int:
        """The images of this rank that the branch has learned from in this epoch."""
        ranks = self.ranks
        return len(window_shares(self.done, self.settings.window, ranks.index, ranks.count))

    def owns(self, targets: np.ndarray) -> np.ndarray:
        """(N,) bool: which samples of grades `targets` (N,) the branch sees."""
        if self._grades is None:
            return np.ones(len(targets), dtype=bool)
        return self._grades.numpy()[targets]

    def feed(self, features: torch.Tensor, targets: torch.Tensor) -> None:
        """Queues the branch's own samples of features (B, ...); trains on all full windows.

        `targets` (B,) are grades, on the CPU.
        """
        if self._grades is not None:  # chosen on the CPU, which would wait for a GPU's choice
            rows = self._grades[targets].nonzero().squeeze(1)
            rows, targets = to_device(torch.stack([rows, targets[rows]]), features.device)
            features = features[rows]
        passed = min(self._pass_over, len(targets))
        self._pass_over -= passed
        self.queue.push(features[passed:], to_device(targets[passed:], features.device))
        self._train_on_windows()

    def _train_on_windows(self) -> None:
        """A step on every window of which this rank's share is there."""
        while self.done < self.samples:
            images = self._window_size()
            own = share(images, self.ranks.index, self.ranks.count)
            if len(self.queue) < own.stop - own.start:
                return
            self.before_window()
            self._window(own, images)

    def end_epoch(self) -> float:
        """The epoch's mean loss per cell; what overflowed in float16 is left out.

        Raises MachineError if gradients were not finite.
        """
        self._train_on_windows()  # of which this rank has no image
        self.require_finite()
        (loss,) = mean_losses([self.running_loss])
        return loss

    def _window(self, own: slice, images: int) -> None:
        """A step on a window of so many images, of which the rows `own` are this rank's."""
        number = self.done // self.settings.window
        seed = branch_seed(self.settings.seed, self.spec.name, self.epoch, number)
        where = f"in window {number + 1} of epoch {self.epoch}"
        total = torch.zeros((), device=self.precision.device)
        if own.stop > own.start:
            total = self.gradients.add(
                self.optimizer,
                *self.queue.pop(own.stop - own.start),
                seed,
                where,
                first=own.start,
                images=images,
            )
        if not self.ranks.is_alone:
            self.optimizer.begin_scale()  # also where this rank has no image of the window
            total = sum_gradients(self.optimizer.parameters, total, self.ranks)
        self.running_loss.add(total, images)
        self._optimizer_step(images)

    def _window_size(self) -> int:
        """Samples in the current window; fewer in the last one of an epoch."""
        return min(self.settings.window, self.samples - self.done)

    def _optimizer_step(self, images: int) -> None:
        self.rate = self.rate_scale * self.schedule.rate(self.steps, self.plateau.scale)
        self.optimizer.step(self.rate)
        if self.precision.device.type == "cpu":  # where nothing waits for the answer
            self.require_finite()
        if self.average:
            self.average.update()
        self.steps += 1
        self.done += images

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
                f"{self.epoch} (NaN or infinity). The last good state is saved. Go on from it at "
                "half the learning rate, by the same command with --resume --recover; or begin "
                "anew with a lower --learning_rate, or with --amp off."
            )

    def evaluated_weights(self) -> AbstractContextManager[Any]:
        """Within the context, the branch has the weights to be evaluated and saved: the moving
        average, if there is one."""
        return self.average.in_place() if self.average else nullcontext()

    def state_dict(self, *, within: bool = False) -> dict[str, Any]:
        """Everything that what follows depends on: the next epoch, or the rest of this one."""
        inside = {
            "done": self.done,
            "rate": self.rate,
            "loss_sums": self.running_loss.sums,
            "skipped": self.optimizer.counts(),
        }
        return {
            **({"within": inside} if within else {}),
            "branch": self.branch.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            **self.optimizer.state_dict(),
            "plateau": self.plateau.state_dict(),
            "steps": self.steps,
        }

    def problem_of(self, state: object) -> str:
        """What of a state from a file does not fit this branch, in words; "" for nothing."""
        return problem_of_state(state, self.state_dict(), self.optimizer.shapes)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state from `state_dict`."""
        self.branch.load_state_dict(state["branch"], strict=True)
        if self.average:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state)
        self.plateau = Plateau(**state["plateau"])
        self.steps = state["steps"]
        self._within = state.get("within")
