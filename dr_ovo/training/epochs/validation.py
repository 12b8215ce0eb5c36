"""Validation: an epoch's outputs on val and on a sample of train, measured and scored."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dr_ovo.batches.loader import ImageLoader
from dr_ovo.errors import MachineError, log
from dr_ovo.outputs import MEASURE_BATCH, Outputs, branch_outputs
from dr_ovo.settings.groups.network import NetworkOptions
from dr_ovo.training.build import Model
from dr_ovo.training.data.loading import require_undamaged
from dr_ovo.training.data.training_data import TrainingData
from dr_ovo.training.epochs.epoch_report import pair_rows, peak_memory_mb
from dr_ovo.training.measure import Score, measure, pair_score, score
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.resume.state import BranchRun

SAME_OUTPUT = 1e-5  # a smaller range of logits over val means a dead network


@dataclass(frozen=True)
class EpochResult:
    """A branch's epoch: its history row, its checkpoint's metrics, its score and features."""

    row: dict[str, Any]
    metrics: dict[str, Any]
    score: Score
    features: Outputs | None


class Validation:
    """Measures the branches of `model` after an epoch, on `device`."""

    def __init__(
        self,
        model: Model,
        data: TrainingData,
        loader: ImageLoader,
        device: torch.device,
        options: NetworkOptions,
    ) -> None:
        self.model, self.data, self.loader, self.device = model, data, loader, device
        self.options = options

    def measure_epoch(
        self, epoch: int, active: list[BranchRun], start: float, train_seconds: float
    ) -> list[EpochResult]:
        """Evaluates the `active` branches on val and on the fixed, unaugmented sample of train.

        The epoch began at `start` (time.monotonic) and trained for `train_seconds`.
        """
        train_count, val_count = len(self.data.train), len(self.data.val)
        trainers = [run.trainer for run in active if run.trainer is not None]
        val = self.outputs(np.arange(train_count, train_count + val_count), trainers)
        sample = self.outputs(self.data.sample, trainers) if len(self.data.sample) else {}
        require_undamaged(self.loader)
        rate = len(self.data.train) / max(train_seconds, 1e-9)
        results = []
        for trainer in trainers:
            name = trainer.spec.name
            result = self._result(trainer, val[name], sample.get(name))
            result.row.update(
                epoch=epoch,
                branch=name,
                lr=trainer.rate,
                seconds=round(time.monotonic() - start, 2),
                images_per_second=round(rate, 2),
                peak_memory_mb=round(peak_memory_mb(self.device)),
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
            self.model.network,
            batches,
            self.model.spec,
            self.device,
            wanted,
            self.options.tta_views,
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
        return measure(
            trainer.spec,
            self.options.head,
            trainer.loss,
            outputs.logits,
            self.data.targets[outputs.positions],
            self.options.num_classes,
        )
