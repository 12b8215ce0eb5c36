"""The training loop: epochs over train, validation, best epochs, early stopping (patience)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from dr_ovo.batches.augmentation import Augmentation, normalise, to_unit_range
from dr_ovo.batches.loader import ImageLoader
from dr_ovo.batches.reading import written_meanwhile
from dr_ovo.device import to_device
from dr_ovo.errors import log
from dr_ovo.logs import Progress
from dr_ovo.models.precision import Precision
from dr_ovo.settings.groups.schedule import ScheduleOptions
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.build import Model
from dr_ovo.training.data.loading import require_undamaged
from dr_ovo.training.data.training_data import TrainingData
from dr_ovo.training.epochs.epoch_report import epoch_line, running_note
from dr_ovo.training.epochs.validation import EpochResult, Validation
from dr_ovo.training.measure import Score
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.schedule import epoch_order
from dr_ovo.training.resume.state import BranchRun


class TrainingLoop:
    """Trains the branches of `model` until each has ended."""

    def __init__(
        self,
        model: Model,
        data: TrainingData,
        loader: ImageLoader,
        precision: Precision,
        config: TrainConfig,
    ) -> None:
        self.model, self.runs, self.data, self.loader = model, model.runs, data, loader
        self.precision = precision
        self.settings: ScheduleOptions = config
        self.augmentation = Augmentation(config)
        self.validation = Validation(model, data, loader, precision.device, config)
        self._warned_of: set[int] = set()  # positions of files that were written meanwhile

    def run(
        self,
        first_epoch: int,
        keep_best: Callable[[BranchRun, int, EpochResult], None],
        keep_epoch: Callable[[int, list[EpochResult]], None],
    ) -> None:
        """Epochs from `first_epoch`; calls `keep_best` per improved branch, then `keep_epoch`.

        Raises MachineError for NaN or infinite values and for photographs that became unreadable.
        """
        for epoch in range(first_epoch, self.settings.epochs + 1):
            active = [run for run in self.runs.values() if run.trainer is not None]
            if not active:
                return
            start = time.monotonic()
            losses = self.train_epoch(epoch, active)
            trained = time.monotonic() - start
            with _evaluated_weights(active):
                results = self.validation.measure_epoch(epoch, active, start, trained)
                for run, result in zip(active, results, strict=True):
                    if self._is_kept(run, epoch, result.score):
                        keep_best(run, epoch, result)
            for run, result in zip(active, results, strict=True):
                self._end_if_due(run, epoch)
                self._log(run, epoch, losses[run.name], result.row)
            self._warn_of_changes()
            keep_epoch(epoch, results)

    def train_epoch(self, epoch: int, active: list[BranchRun]) -> dict[str, float]:
        """One pass over train; the mean training loss of each branch."""
        settings, train = self.settings, self.data.train
        order = epoch_order(train.targets, settings.sampler, settings.seed, epoch, train.weights)
        drawn = self.augmentation.draw(settings.seed, epoch, len(order))
        numbers = to_device(drawn, self.precision.device)
        trainers = [run.trainer for run in active if run.trainer is not None]
        for trainer in trainers:
            trainer.begin_epoch(epoch)
        progress = Progress(f"epoch {epoch}/{settings.epochs}", len(order))
        done = 0
        try:
            for positions, images in self.loader.batches(order, settings.stem_batch):
                require_undamaged(self.loader)
                count = len(positions)
                self.train_batch(positions, images, numbers[done : done + count], trainers)
                done += count
                progress.update(count, lambda: running_note(trainers))
            return {trainer.spec.name: trainer.end_epoch() for trainer in trainers}
        finally:
            progress.close()

    def train_batch(
        self,
        positions: np.ndarray,
        images: torch.Tensor,
        numbers: torch.Tensor,
        trainers: list[BranchTrainer],
    ) -> None:
        """Augments a batch, runs it through the stem once, and feeds every branch."""
        device = self.precision.device
        inputs = self.augmentation.apply(to_unit_range(images, device), to_device(numbers, device))
        inputs = normalise(inputs, self.model.spec.mean, self.model.spec.std)
        with self.precision.autocast():
            features = self.model.network.trained_stem(inputs)
        targets = torch.from_numpy(self.data.train.targets[positions])
        for trainer in trainers:
            trainer.feed(features, targets)

    def _is_kept(self, run: BranchRun, epoch: int, score: Score) -> bool:
        """Notes the score of a branch's epoch; whether its weights are the ones to keep."""
        run.note_progress(score, epoch, self.settings.min_delta)
        if self.settings.keep_epoch != "last" and not score.better_than(run.best):
            return False
        run.best, run.best_epoch = score, epoch
        return True

    def _end_if_due(self, run: BranchRun, epoch: int) -> None:
        """Ends a branch by patience, counted from the end of warm-up, or after the last epoch."""
        settings = self.settings
        warmup = settings.warmup_epochs if settings.warmup_epochs < settings.epochs else 0
        if epoch - max(run.progress_epoch, warmup) >= settings.patience:
            run.ended = "patience"
        elif epoch == settings.epochs:
            run.ended = "last epoch"
        if run.ended:
            run.end()

    def _log(self, run: BranchRun, epoch: int, loss: float, row: dict[str, Any]) -> None:
        """Logs a branch's epoch: its history row, the mean loss in training, and what it means."""
        epochs, kept = self.settings.epochs, self.settings.keep_epoch
        ending = f"ends ({run.ended}; {kept} epoch {run.best_epoch})" if run.ended else ""
        notes = kept * (run.best_epoch == epoch), ending
        left = (epochs - epoch) * row["seconds"]
        log.info("%s", epoch_line(row, epochs, loss, left, notes))

    def _warn_of_changes(self) -> None:
        """Warns, once for each, of files that were written since training began."""
        fresh = sorted(self.loader.changed - self._warned_of)
        self._warned_of.update(fresh)
        if fresh:
            log.warning("%s", written_meanwhile([self.loader.paths[i] for i in fresh]))


@contextmanager
def _evaluated_weights(active: list[BranchRun]) -> Iterator[None]:
    """Within the context, every branch has the weights to be evaluated and saved."""
    with ExitStack() as stack:
        for run in active:
            if run.trainer is not None:
                stack.enter_context(run.trainer.evaluated_weights())
        yield
