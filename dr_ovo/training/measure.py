"""Metrics of a branch on val and train, and the score that selects its best epoch."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dr_ovo.decoding.decoders import decode
from dr_ovo.decoding.heads import head_of, softmax_probabilities
from dr_ovo.decoding.tempering import log_probabilities
from dr_ovo.models.losses import CellLoss
from dr_ovo.models.network import BranchSpec
from dr_ovo.pairs import Pair, class_pairs
from dr_ovo.predictions.auc import delong_variance
from dr_ovo.predictions.calibration import tempered_log_loss
from dr_ovo.predictions.kappa_error import kappa_standard_error
from dr_ovo.predictions.metrics import (
    accuracy,
    confusion_matrix,
    log_loss_binary,
    macro_auc,
    quadratic_kappa,
)
from dr_ovo.predictions.pair_metrics import pair_metrics


@dataclass(frozen=True)
class Score:
    """How good a branch is on val: a larger `value` wins, then a larger `tie_break`.

    `value`: quadratic weighted kappa of the decoded grade (shared, softmax, ordinal), or the AUC
    of its pair (independent). `tie_break`: minus the val loss, or minus the pair's log loss.
    `standard_error`: that of `value`. `log_loss`: at its best temperature. Both are NaN where they
    can't be told, or where nothing asks for them.
    """

    value: float
    tie_break: float
    standard_error: float = math.nan
    log_loss: float = math.nan

    def better_than(self, other: Score | None) -> bool:
        """Whether this epoch replaces the one with score `other`."""
        if other is None or math.isnan(other.value):
            return True
        if self.value == other.value:
            return self.tie_break > other.tie_break
        return self.value > other.value


def mean_cell_loss(loss: CellLoss, logits: np.ndarray, targets: np.ndarray) -> float:
    """The mean of the training loss over cells, with the same weights as in training."""
    device = next(loss.buffers()).device
    sums = loss(torch.from_numpy(logits).to(device), torch.from_numpy(targets).to(device))
    return float(sums.mean()) / loss.cells


def measure(
    spec: BranchSpec,
    head: str,
    loss: CellLoss,
    logits: np.ndarray,
    targets: np.ndarray,
    num_classes: int,
) -> dict[str, Any]:
    """`loss`, `accuracy`, `auc`, `kappa` of a branch on its samples, and `pairs`: metrics per pair.

    `logits` (n, K), `targets` (n,) grades. For an independent branch, accuracy, AUC and kappa are
    those of its pair; for the others, of the decoded grade (AUC: one-vs-rest, macro).
    """
    if spec.independent:
        rows = pair_metrics(targets, logits, list(spec.pairs))
        predicted_b = (logits[:, 0] > 0).astype(np.int64)
        values = {"accuracy": rows[0]["accuracy"], "auc": rows[0]["auc"]}
        kappa = quadratic_kappa((targets == spec.pairs[0][1]).astype(np.int64), predicted_b, 2)
    else:
        predicted, probabilities = decode(head, logits, num_classes)
        values = {
            "accuracy": accuracy(targets, predicted),
            "auc": macro_auc(targets, probabilities),
        }
        kappa = quadratic_kappa(targets, predicted, num_classes)
        rows = _all_pairs(head, logits, probabilities, targets, num_classes)
    values |= {"kappa": kappa, "loss": mean_cell_loss(loss, logits, targets)}
    return {**{name: _none_if_nan(value) for name, value in values.items()}, "pairs": rows}


def _all_pairs(
    head: str, logits: np.ndarray, probabilities: np.ndarray, targets: np.ndarray, classes: int
) -> list[dict[str, Any]]:
    """Pair metrics of a head over all classes; from conditional odds if it has no pairs."""
    pairs = class_pairs(classes)
    if not head_of(head).paired:
        logs = log_probabilities(probabilities)
        logits = np.stack([logs[:, b] - logs[:, a] for a, b in pairs], axis=1)
    return pair_metrics(targets, logits, pairs)


def _none_if_nan(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def score(measures: dict[str, Any]) -> Score:
    """The score of a shared, softmax or ordinal branch: kappa, then val loss."""
    return Score(_nan_if_none(measures["kappa"]), -measures["loss"])


def pair_score(pair: Pair, auc: float | None, logits: np.ndarray, targets: np.ndarray) -> Score:
    """The score of an independent branch: the AUC of its pair, then log loss."""
    return Score(_nan_if_none(auc), -float(log_loss_binary(targets == pair[1], logits[:, 0])))


def _nan_if_none(value: float | None) -> float:
    return math.nan if value is None else value


def with_uncertainty(
    score: Score,
    spec: BranchSpec,
    head: str,
    logits: np.ndarray,
    targets: np.ndarray,
    num_classes: int,
) -> Score:
    """A branch's `score` on its samples, with standard error (Fleiss, Cohen & Everitt 1969, or
    DeLong) and log loss; `logits` (n, K), `targets` (n,) grades."""
    if spec.independent:
        classes = (targets == spec.pairs[0][1]).astype(np.int64)
        probabilities = softmax_probabilities(
            np.pad(logits[:, :1].astype(np.float64), ((0, 0), (1, 0)))
        )
        scores = logits[:, 0]
        error = math.sqrt(delong_variance(scores[classes == 1], scores[classes == 0]))
    else:
        classes = targets
        predicted, probabilities = decode(head, logits, num_classes)
        error = kappa_standard_error(confusion_matrix(targets, predicted, num_classes))
    log_loss = tempered_log_loss(classes, probabilities)
    return dataclasses.replace(score, standard_error=error, log_loss=log_loss)
