"""The training loop: epochs over train, validation, best epochs, early stopping (patience)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dr_ovo.batches.augmentation import Augmentation, normalise, to_unit_range
from dr_ovo.batches.loader import ImageLoader
from dr_ovo.batches.reading import written_meanwhile
from dr_ovo.dataset.index import Split
from dr_ovo.device import to_device
from dr_ovo.errors import MachineError, log
from dr_ovo.logs import Progress
from dr_ovo.models.backbone import InputSpec
from dr_ovo.models.network import OvoNetwork
from dr_ovo.training.epochs.epoch_report import epoch_line, pair_rows, peak_memory_mb, running_note
from dr_ovo.training.measure import Outputs, Score, branch_outputs, measure, pair_score, score
from dr_ovo.training.optimization.branch_trainer import BranchTrainer, Precision
from dr_ovo.training.optimization.schedule import epoch_order
from dr_ovo.training.resume.state import BranchRun

MEASURE_BATCH = 32
SAME_OUTPUT = 1e-5  # a smaller range of logits over val means a dead network


@dataclass(frozen=True)
class TrainingData:
    """The data for training and selection. The loader's positions are train's, then val's."""

    train: Split
    val: Split
    sample: np.ndarray  # positions in train that are evaluated each epoch
    calibration: np.ndarray  # (V,) bool: excluded from selection

    @property
    def targets(self) -> np.ndarray:
        """Grades by loader position."""
        return np.concatenate([self.train.targets, self.val.targets])


@dataclass(frozen=True)
class LoopSettings:
    """The settings of the loop itself."""

    head: str
    num_classes: int
    epochs: int
    warmup_epochs: int
    patience: int
    min_delta: float
    keep_epoch: str  # "best" or "last"
    sampler: str
    seed: int
    tta_views: int
    stem_batch: int  # independent of which branches are active: another size changes bits


@dataclass(frozen=True)
class EpochResult:
    """A branch's epoch: its history row, its checkpoint's metrics, its score and features."""

    row: dict[str, Any]
    metrics: dict[str, Any]
    score: Score
    features: Outputs | None


class TrainingLoop:
    """Trains the branches `runs` of `network` until each has ended."""

    def __init__(
        self,
        network: OvoNetwork,
        runs: dict[str, BranchRun],
        data: TrainingData,
        loader: ImageLoader,
        augmentation: Augmentation,
        spec: InputSpec,
        precision: Precision,
        settings: LoopSettings,
    ) -> None:
        self.network, self.runs, self.data, self.loader = network, runs, data, loader
        self.augmentation, self.spec, self.precision = augmentation, spec, precision
        self.settings = settings
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
                results = self.measure_epoch(epoch, active, trained, time.monotonic() - start)
                for run, result in zip(active, results, strict=True):
                    run.note_progress(result.score, epoch, self.settings.min_delta)
                    if self.settings.keep_epoch == "last" or result.score.better_than(run.best):
                        run.best, run.best_epoch = result.score, epoch
                        keep_best(run, epoch, result)
            for run in active:
                self._end_if_due(run, epoch)
            left = (self.settings.epochs - epoch) * results[0].row["seconds"]
            for run, result in zip(active, results, strict=True):
                kept = self.settings.keep_epoch
                ending = f"ends ({run.ended}; {kept} epoch {run.best_epoch})" if run.ended else ""
                notes = kept * (run.best_epoch == epoch), ending
                line = epoch_line(result.row, self.settings.epochs, losses[run.name], left, notes)
                log.info("%s", line)
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
                self._require_undamaged()
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
        inputs = normalise(inputs, self.spec.mean, self.spec.std)
        with self.precision.autocast():
            features = self.network.trained_stem(inputs)
        targets = torch.from_numpy(self.data.train.targets[positions])
        for trainer in trainers:
            trainer.feed(features, targets)

    def measure_epoch(
        self, epoch: int, active: list[BranchRun], train_seconds: float, seconds: float
    ) -> list[EpochResult]:
        """Evaluates the `active` branches on val and on the fixed, unaugmented sample of train."""
        train_count, val_count = len(self.data.train), len(self.data.val)
        trainers = [run.trainer for run in active if run.trainer is not None]
        val = self.outputs(np.arange(train_count, train_count + val_count), trainers)
        sample = self.outputs(self.data.sample, trainers) if len(self.data.sample) else {}
        self._require_undamaged()
        rate = len(self.data.train) / max(train_seconds, 1e-9)
        results = []
        for trainer in trainers:
            name = trainer.spec.name
            result = self._result(trainer, val[name], sample.get(name))
            result.row.update(
                epoch=epoch,
                branch=name,
                lr=trainer.rate,
                seconds=round(seconds, 2),
                images_per_second=round(rate, 2),
                peak_memory_mb=round(peak_memory_mb(self.precision.device)),
                skipped_steps=trainer.skipped_steps,
            )
            trainer.plateau.update(result.row["val_loss"])
            results.append(result)
        return results

    def outputs(self, positions: np.ndarray, trainers: list[BranchTrainer]) -> dict[str, Outputs]:
        """The outputs of the branches on the images at `positions`, each only on its own grades."""
        targets = self.data.targets
        wanted: dict[str, np.ndarray | None] = {
            t.spec.name: np.isin(targets, t.spec.pairs[0]) if t.spec.independent else None
            for t in trainers
        }
        batches = self.loader.batches(positions, MEASURE_BATCH)
        return branch_outputs(
            self.network, batches, self.spec, self.precision.device, wanted, self.settings.tta_views
        )

    def _result(self, trainer: BranchTrainer, val: Outputs, sample: Outputs | None) -> EpochResult:
        selection = ~self.data.calibration[val.positions - len(self.data.train)]
        if not np.isfinite(val.logits).all():
            raise MachineError(
                f"Branch {trainer.spec.name} outputs NaN or infinity on val. The state of the "
                "last finished epoch is saved. Lower --learning_rate, or train with --amp off."
            )
        chosen = Outputs(
            val.positions[selection], val.logits[selection], val.feature_mean, val.feature_std
        )
        on_val = self._measure(trainer, chosen)
        on_train = self._measure(trainer, sample) if sample else {}
        row = {
            "train_loss": on_train.get("loss"),
            "train_accuracy": on_train.get("accuracy"),
            **{f"val_{key}": on_val[key] for key in ("loss", "accuracy", "auc", "kappa")},
        }
        metrics = {**row, "pairs": pair_rows(on_val["pairs"], on_train.get("pairs"))}
        if len(val.logits) > 1 and np.ptp(val.logits, axis=0).max() < SAME_OUTPUT:
            log.warning(
                "branch %s gives the same output for every val image: it has stopped learning. "
                "Lower --learning_rate.",
                trainer.spec.name,
            )
        return EpochResult(row, metrics, self._score(trainer, on_val, chosen), sample)

    def _score(self, trainer: BranchTrainer, on_val: dict[str, Any], chosen: Outputs) -> Score:
        """The score that selects the branch's best epoch, from the selection share of val."""
        if not trainer.spec.independent:
            return score(on_val)
        targets = self.data.targets[chosen.positions]
        return pair_score(trainer.spec.pairs[0], on_val["auc"], chosen.logits, targets)

    def _measure(self, trainer: BranchTrainer, outputs: Outputs) -> dict[str, Any]:
        settings = self.settings
        return measure(
            trainer.spec,
            settings.head,
            trainer.loss,
            outputs.logits,
            self.data.targets[outputs.positions],
            settings.num_classes,
        )

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

    def _warn_of_changes(self) -> None:
        """Warns, once for each, of files that were written since training began."""
        fresh = sorted(self.loader.changed - self._warned_of)
        self._warned_of.update(fresh)
        if fresh:
            log.warning("%s", written_meanwhile([self.loader.paths[i] for i in fresh]))

    def _require_undamaged(self) -> None:
        if self.loader.damaged:
            position, reason = next(iter(self.loader.damaged.items()))
            raise MachineError(
                f"{self.loader.paths[position]} {reason}. It was readable, or was not checked, "
                "when training began. The last finished epoch is saved. Restore the file and "
                "continue with --resume, or start again with --skip_damaged in another folder."
            )


@contextmanager
def _evaluated_weights(active: list[BranchRun]) -> Iterator[None]:
    """Within the context, every branch has the weights to be evaluated and saved."""
    with ExitStack() as stack:
        for run in active:
            if run.trainer is not None:
                stack.enter_context(run.trainer.evaluated_weights())
        yield
