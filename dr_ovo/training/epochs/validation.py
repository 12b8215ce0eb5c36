"""Validation: an epoch's outputs on val and on a sample of train, measured and scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dr_ovo.batches.features.frozen_features import FrozenFeatures
from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.fitting import fit_number
from dr_ovo.decoding.heads import head_of
from dr_ovo.distributed.division import batch_shares
from dr_ovo.errors import MachineError, log
from dr_ovo.outputs import MEASURE_BATCH, Outputs, branch_outputs
from dr_ovo.predictions.same_answer import same_for_all
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.build import Model
from dr_ovo.training.data.feature_views import measured_views
from dr_ovo.training.data.training_data import TrainingData, holds_out_val
from dr_ovo.training.epochs.epoch_report import pair_rows
from dr_ovo.training.epochs.interruption import WatchedBatches
from dr_ovo.training.measure import Score, measure, pair_score, score, with_uncertainty
from dr_ovo.training.optimization.branch_trainer import BranchTrainer


@dataclass(frozen=True)
class EpochResult:
    """A branch's epoch: what of its history row is measured on images, its checkpoint's metrics,
    its score and features, and what was fitted for decoding (None: nothing)."""

    row: dict[str, Any]
    metrics: dict[str, Any]
    score: Score
    features: Outputs | None
    fitted: Fitted | None = None


class Validation:
    """Measures the branches of `model` after an epoch, on `device`. `by_log_loss`: what chooses the
    epoch needs log loss and standard error in its score."""

    def __init__(
        self,
        model: Model,
        data: TrainingData,
        batches: WatchedBatches,
        device: torch.device,
        options: TrainConfig,
        by_log_loss: bool = False,
    ) -> None:
        self.model, self.data, self.batches, self.device = model, data, batches, device
        self.options, self.by_log_loss = options, by_log_loss
        self._features: WatchedBatches | None = None

    def use_features(self, features: FrozenFeatures) -> None:
        """From now on images are measured by these features, which are prepared."""
        self._features = self.batches.instead(features.batches(measured_views(self.options)))

    def measure_epoch(self, trainers: list[BranchTrainer]) -> list[EpochResult]:
        """The results of the branches on val and on the fixed, unaugmented sample of train."""
        train_count, val_count = len(self.data.train), len(self.data.val)
        val = self.outputs(np.arange(train_count, train_count + val_count), trainers)
        sample = self.outputs(self.data.sample, trainers) if len(self.data.sample) else {}
        names = [trainer.spec.name for trainer in trainers]
        return [
            self._result(trainer, val.get(name) or _no_outputs(trainer), sample.get(name))
            for name, trainer in zip(names, trainers, strict=True)
        ]

    def outputs(self, positions: np.ndarray, trainers: list[BranchTrainer]) -> dict[str, Outputs]:
        """The outputs of the branches on the images at `positions`, each only on its own grades."""
        targets = self.data.targets
        wanted: dict[str, np.ndarray | None] = {
            t.spec.name: np.isin(targets, t.spec.pairs[0]) if t.spec.independent else None
            for t in trainers
        }
        ranks = self.model.window_ranks
        shares = batch_shares(len(positions), MEASURE_BATCH, ranks.index, ranks.count)
        own = [positions[rows] for rows in shares] if trainers else []
        outputs = branch_outputs(
            self.model.network,
            (self._features or self.batches)(np.concatenate([*own, positions[:0]]), MEASURE_BATCH),
            self.model.spec,
            self.device,
            wanted,
            self.options.tta_views,
            ranks,
            are_features=self._features is not None,
        )
        self.batches.agree()
        return outputs

    def _result(self, trainer: BranchTrainer, val: Outputs, sample: Outputs | None) -> EpochResult:
        selection = ~self.data.calibration[val.positions - len(self.data.train)]
        if not np.isfinite(val.logits).all():
            raise MachineError(
                f"Branch {trainer.spec.name} outputs NaN or infinity on val. The last "
                "good state is saved. Go on from it at half the learning rate, by the same "
                "command with --resume --recover; or begin anew with a lower --learning_rate, or "
                "with --amp off."
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
        if same_for_all(val.logits).all():
            log.warning(
                "branch %s gives the same output for every val image: it has stopped learning. "
                "Lower --learning_rate.",
                trainer.spec.name,
            )
        fitted = self._fitted(chosen)
        return EpochResult(row, metrics, self._score(trainer, on_val, chosen), sample, fitted)

    def _fitted(self, chosen: Outputs) -> Fitted | None:
        """The scale and thresholds of a head that answers with a number, from the selection share
        of val; nothing where val is a fold held out, on which a member fits nothing."""
        options = self.options
        if not head_of(options.head).is_number or holds_out_val(options):
            return None
        targets = self.data.targets[chosen.positions]
        return fit_number(chosen.logits, targets, options.num_classes)

    def _score(self, trainer: BranchTrainer, on_val: dict[str, Any], chosen: Outputs) -> Score:
        """The score that selects the branch's epoch, from the selection share of val."""
        spec, targets = trainer.spec, self.data.targets[chosen.positions]
        if spec.independent:
            found = pair_score(spec.pairs[0], on_val["auc"], chosen.logits, targets)
        else:
            found = score(on_val)
        if not self.by_log_loss:
            return found
        head, classes = self.options.head, self.options.num_classes
        return with_uncertainty(found, spec, head, chosen.logits, targets, classes)

    def _measure(self, trainer: BranchTrainer, outputs: Outputs) -> dict[str, Any]:
        return measure(
            trainer.spec,
            self.options.head,
            trainer.loss,
            outputs.logits,
            self.data.targets[outputs.positions],
            self.options.num_classes,
        )


def _no_outputs(trainer: BranchTrainer) -> Outputs:
    """Those of a branch of which val has neither grade, as a fold held out may have."""
    none = torch.zeros(0)
    return Outputs(
        np.zeros(0, np.int64), np.zeros((0, trainer.spec.outputs), np.float32), none, none
    )
