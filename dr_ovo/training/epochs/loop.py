"""The training loop: epochs over train, validation, best epochs, early stopping (patience)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain

import numpy as np
import torch

from dr_ovo.batches.augmentation import Augmentation, normalise, to_unit_range
from dr_ovo.batches.features.frozen_features import FrozenFeatures
from dr_ovo.batches.loader import ImageLoader
from dr_ovo.batches.reading import written_meanwhile
from dr_ovo.device import to_device
from dr_ovo.distributed.division import window_shares
from dr_ovo.distributed.ranks import LostRank
from dr_ovo.errors import log
from dr_ovo.full_memory import Halving
from dr_ovo.logs import Progress
from dr_ovo.models.precision import Precision
from dr_ovo.settings.groups.schedule import ScheduleOptions
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.build import Model
from dr_ovo.training.data.feature_views import view_of_epoch
from dr_ovo.training.data.training_data import TrainingData
from dr_ovo.training.epochs.clock import EpochClock
from dr_ovo.training.epochs.epoch_report import epoch_line, history_row, running_note
from dr_ovo.training.epochs.first_image import first_image
from dr_ovo.training.epochs.interruption import Interrupted, WatchedBatches
from dr_ovo.training.epochs.keeping import Keeper, KeptInside
from dr_ovo.training.epochs.validation import EpochResult, Validation
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.schedule import epoch_order
from dr_ovo.training.resume.branch_run import LAST_EPOCH, PATIENCE, BranchRun
from dr_ovo.training.resume.epoch_choice import RULES


class TrainingLoop:
    """Trains the branches of `model` until each has ended, or until it is `asked` to stop; on
    `features` of its frozen backbone, where these are given, in place of images."""

    def __init__(
        self,
        model: Model,
        data: TrainingData,
        loader: ImageLoader,
        precision: Precision,
        config: TrainConfig,
        asked: Callable[[], bool] = bool,
        features: FrozenFeatures | None = None,
    ) -> None:
        self.model, self.runs, self.data, self.loader = model, model.runs, data, loader
        self.precision, self.save_seconds = precision, 60 * config.save_every
        self.settings: ScheduleOptions = config
        self.rule = RULES[config.keep_epoch]
        self.augmentation = Augmentation(config)
        self.batches = WatchedBatches(loader, asked, model.ranks)
        if not model.window_ranks.is_alone:
            for trainer in _trainers([*self.runs.values()]):
                trainer.before_window = self.batches.agree
        self.features, self.feature_views = features, config.feature_views
        device, by_log_loss = precision.device, self.rule.by_log_loss
        self.validation = Validation(model, data, self.batches, device, config, by_log_loss)
        self._stem = Halving("in the frozen stem")
        self._warned_of: set[int] = set()  # positions of files that were written meanwhile

    def run(self, first_epoch: int, keeper: Keeper, seconds: float = 0.0) -> None:
        """Epochs from `first_epoch`, in which the loaded state has trained for `seconds`.

        Raises Interrupted, with its state kept, for an epoch that ends before its end, and
        MachineError for NaN or infinite values.
        """
        if self.features is not None:
            self.features.prepare(self.batches, self.batches.require_not_asked, self.loader.changed)
            self.use_features()
        for epoch in range(first_epoch, self.settings.epochs + 1):
            active = [run for run in self.runs.values() if run.trainer is not None]
            if not any(self.model.branch_ranks.any(bool(active))):
                return
            clock = EpochClock(seconds)
            divided = not self.model.branch_ranks.is_alone
            inside = KeptInside(
                keeper,
                epoch,
                _trainers(active),
                clock,
                self.save_seconds,
                self.batches.agree if divided else None,
            )
            try:
                losses = self.train_epoch(epoch, active, inside.keep_if_due)
                clock.end_training()
                with _evaluated_weights(active):
                    results = self._measure(epoch, active, clock)
                    for run, result in zip(active, results, strict=True):
                        if run.note(result.score, epoch, self.rule, self.settings.min_delta):
                            keeper.keep_best(run, epoch, result)
            except (Interrupted, LostRank) as error:
                if isinstance(error, Interrupted) or not divided:
                    inside.keep()
                raise
            lines = []
            for run, result in zip(active, results, strict=True):
                self._end_if_due(run, epoch, result)
                lines.append(self._line(run, epoch, losses[run.name], result))
            for line in chain(*self.model.branch_ranks.gather(lines)):
                log.info("%s", line)
            self._warn_of_changes()
            keeper.keep_epoch(epoch, results)
            seconds = 0.0

    def train_epoch(
        self, epoch: int, active: list[BranchRun], between: Callable[[int], None] | None = None
    ) -> dict[str, float]:
        """One pass over train, or what a loaded state leaves of it; the mean training loss of each
        branch. `between` is called between windows, with the number of batches of the epoch."""
        settings, train, ranks = self.settings, self.data.train, self.model.window_ranks
        order = epoch_order(train.targets, settings.sampler, settings.seed, epoch, train.weights)
        drawn = self.augmentation.draw(settings.seed, epoch, len(order))
        places = window_shares(len(order), settings.window, ranks.index, ranks.count)
        own, numbers = order[places], to_device(drawn[places], self.precision.device)
        trainers = _trainers(active)
        for trainer in trainers:
            trainer.begin_epoch(epoch)
        done = first_image(train.targets[own], trainers, settings.stem_batch)
        done = min(self.model.branch_ranks.gather(done))
        for trainer in trainers:
            trainer.begin_at(train.targets[own], done)
        progress = Progress(f"epoch {epoch}/{settings.epochs}", len(own), done, ranks.count)
        number = done // settings.stem_batch
        try:
            for positions, given in self.epoch_batches(epoch, own[done:], trainers):
                count = len(positions)
                self.train_batch(positions, given, numbers[done : done + count], trainers)
                done, number = done + count, number + 1
                if trainers:
                    progress.update(count, lambda: running_note(trainers))
                if between is not None:
                    between(number)
            losses = {trainer.spec.name: trainer.end_epoch() for trainer in trainers}
            self.batches.agree()
            return losses
        finally:
            progress.close()

    def use_features(self) -> None:
        """Has validation measure by the features, which are in memory from now on."""
        assert self.features is not None
        self.validation.use_features(self.features)

    def epoch_batches(
        self, epoch: int, positions: np.ndarray, trainers: list[BranchTrainer]
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """The batches of an epoch, of images or of their features; empty ones where all branches of
        this rank have ended."""
        size = self.settings.stem_batch
        if trainers and self.features is not None:
            view = view_of_epoch(epoch, self.feature_views)
            return self.batches.instead(self.features.batches([view]))(positions, size)
        if trainers:
            return self.batches(positions, size)
        none = np.zeros(0, dtype=np.int64), torch.zeros(0)
        return iter([none] * -(-len(positions) // size))

    def _measure(self, epoch: int, active: list[BranchRun], clock: EpochClock) -> list[EpochResult]:
        """The results of the active branches with their whole history rows."""
        trainers = _trainers(active)
        rate = len(self.data.train) / max(clock.trained, 1e-9)
        results = []
        for trainer, result in zip(trainers, self.validation.measure_epoch(trainers), strict=True):
            row = history_row(epoch, trainer, result.row, clock.seconds, rate)
            results.append(dataclasses.replace(result, row=row))
        return results

    def train_batch(
        self,
        positions: np.ndarray,
        given: torch.Tensor,
        numbers: torch.Tensor,
        trainers: list[BranchTrainer],
    ) -> None:
        """Feeds every branch with the stem's features of a batch, until the run is to stop.

        `given`: images, which are augmented by `numbers` and pass the stem once; or their
        features, where the loop has those.
        """
        if not trainers:
            return
        features = given if self.features is not None else self._through_stem(given, numbers)
        targets = torch.from_numpy(self.data.train.targets[positions])
        for trainer in trainers:
            if self.batches.asked():
                return  # the others learn from this batch when the training goes on
            trainer.feed(features, targets)

    def _through_stem(self, images: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """The stem's features (B, ...) of images (B, S, S, 3) uint8, augmented."""
        device = self.precision.device
        inputs = self.augmentation.apply(to_unit_range(images, device), to_device(numbers, device))
        inputs = normalise(inputs, self.model.spec.mean, self.model.spec.std)
        with self.precision.autocast():
            stem = self.model.network.trained_stem
            parts = self._stem.parts(len(inputs), lambda rows: stem(inputs[rows]))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _end_if_due(self, run: BranchRun, epoch: int, result: EpochResult) -> None:
        """Notes the val loss of a branch's epoch for its learning rate. Ends the branch by
        patience, counted from the end of warm-up, or after the last epoch."""
        settings = self.settings
        if run.trainer is not None:
            run.trainer.plateau.update(result.row["val_loss"])
        warmup = settings.warmup_epochs if settings.warmup_epochs < settings.epochs else 0
        if epoch - max(run.progress_epoch, warmup) >= settings.patience:
            run.ended = PATIENCE
        elif epoch == settings.epochs:
            run.ended = LAST_EPOCH
        if run.ended:
            run.end()

    def _line(self, run: BranchRun, epoch: int, loss: float, result: EpochResult) -> str:
        """The log line of a branch's epoch: its history row, mean loss, and what it means."""
        epochs, word, score = self.settings.epochs, self.rule.word, result.score
        ending = f"ends {run.ending(self.rule)}" if run.ended else ""
        by = f"standard error {score.standard_error:.3f}  log loss {score.log_loss:.4f}"
        notes = by * self.rule.by_log_loss, word * (run.best_epoch == epoch), ending
        left = (epochs - epoch) * result.row["seconds"]
        return epoch_line(result.row, epochs, loss, left, notes)

    def _warn_of_changes(self) -> None:
        """Warns, once for each, of files that were written since training began."""
        fresh = sorted(self.loader.changed - self._warned_of)
        self._warned_of.update(fresh)
        if fresh:
            log.warning("%s", written_meanwhile([self.loader.paths[i] for i in fresh]))


def _trainers(active: list[BranchRun]) -> list[BranchTrainer]:
    return [run.trainer for run in active if run.trainer is not None]


@contextmanager
def _evaluated_weights(active: list[BranchRun]) -> Iterator[None]:
    """Within the context, every branch has the weights to be evaluated and saved."""
    with ExitStack() as stack:
        for trainer in _trainers(active):
            stack.enter_context(trainer.evaluated_weights())
        yield
