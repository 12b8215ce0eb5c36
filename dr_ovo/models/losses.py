"""Losses for every head: focal loss, cross-entropy, label smoothing, weights per class.

A loss is a sum over cells with constant factors, so that micro-batches add up to a large batch.

A cell is (sample, pair that contains its grade) for one-vs-one, (sample, threshold) for ordinal,
and the sample for softmax. Focal loss: Lin et al. 2017, arXiv 1708.02002, with the modulator
|t - p|^gamma of the smoothed target t: with the hard target the minimum would be at p = 1, which
would cancel the smoothing. Without smoothing it is the usual (1 - p_t)^gamma.

A constant alpha scales all gradients equally, which has almost no effect under AdamW without
clipping. An alpha per class shifts the balance between classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from dr_ovo.pairs import Pair, pair_signs

MIN_DISTANCE = 1e-8  # of p from t; keeps the gradient of the focal factor finite where p = t


@dataclass(frozen=True)
class LossSettings:
    """The parameters of a loss. `gamma` 0 with all `alpha` 1 is cross-entropy.

    `alpha` (C,) and `weights` (C,) are factors per class; `weights` None: computed from `counts`
    (C,), or 1 if `counts` is None too.
    """

    gamma: float
    alpha: tuple[float, ...]
    smoothing: float
    weights: tuple[float, ...] | None
    counts: tuple[int, ...] | None


class CellLoss(nn.Module):
    """Maps (logits (B, K), targets (B,)) to the sum of each sample's cells (B,).

    `cells`: the number of cells per sample.
    """

    cells: int


def create_loss(head: str, settings: LossSettings, pairs: list[Pair]) -> CellLoss:
    """The loss of a branch with this head that answers `pairs`."""
    if head == "ovo":
        return OvoLoss(settings, pairs)
    return SoftmaxLoss(settings) if head == "softmax" else OrdinalLoss(settings)


def _focal_cells(logits: torch.Tensor, target: torch.Tensor, gamma: float) -> torch.Tensor:
    """|t - p|^gamma * BCE(p, t), elementwise, for soft targets t."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if gamma == 0:
        return cross_entropy
    return (target - torch.sigmoid(logits)).abs().clamp_min(MIN_DISTANCE) ** gamma * cross_entropy


def _smooth(target: torch.Tensor, smoothing: float) -> torch.Tensor:
    return target * (1 - smoothing) + smoothing / 2


class OvoLoss(CellLoss):
    """Binary cells of the pairs that contain a sample's grade."""

    factor: torch.Tensor
    target: torch.Tensor

    def __init__(self, settings: LossSettings, pairs: list[Pair]) -> None:
        super().__init__()
        classes = len(settings.alpha)
        signs = torch.from_numpy(pair_signs(pairs, classes)).float()  # (C, P)
        alpha = torch.tensor(settings.alpha).view(-1, 1)
        # A sample has one cell in a single-pair branch, C - 1 in a shared one.
        self.cells = 1 if len(pairs) == 1 else classes - 1
        self.gamma = settings.gamma
        # 0 where the grade is not in the pair
        self.register_buffer("factor", signs.abs() * alpha * _pair_weights(settings, pairs))
        self.register_buffer("target", _smooth((signs > 0).float(), settings.smoothing))

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(B, P), (B,) -> (B,)."""
        cells = _focal_cells(logits.float(), self.target[targets], self.gamma)
        return (self.factor[targets] * cells).sum(1)


def _pair_weights(settings: LossSettings, pairs: list[Pair]) -> torch.Tensor:
    """(C, P): the weight of a sample of class c in a pair; w_a = n / (2 n_a) within the pair."""
    classes = len(settings.alpha)
    if settings.weights is not None:
        return torch.tensor(settings.weights).view(-1, 1).expand(classes, len(pairs))
    weights = torch.ones(classes, len(pairs))
    if settings.counts is not None:
        for column, (a, b) in enumerate(pairs):
            total = settings.counts[a] + settings.counts[b]
            weights[a, column] = total / (2 * settings.counts[a])
            weights[b, column] = total / (2 * settings.counts[b])
    return weights


class SoftmaxLoss(CellLoss):
    """Cross-entropy over the classes, with the focal factor (1 - p_t)^gamma."""

    factor: torch.Tensor

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.cells, self.gamma, self.smoothing = 1, settings.gamma, settings.smoothing
        self.register_buffer("factor", torch.tensor(settings.alpha) * _class_weights(settings))

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(B, C), (B,) -> (B,)."""
        logits = logits.float()
        cells = F.cross_entropy(logits, targets, reduction="none", label_smoothing=self.smoothing)
        if self.gamma:
            true_probability = logits.softmax(1).gather(1, targets.view(-1, 1)).squeeze(1)
            cells = (1 - true_probability).clamp_min(MIN_DISTANCE) ** self.gamma * cells
        return self.factor[targets] * cells


def _class_weights(settings: LossSettings) -> torch.Tensor:
    """(C,): w_a = n / (C n_a)."""
    if settings.weights is not None:
        return torch.tensor(settings.weights)
    if settings.counts is None:
        return torch.ones(len(settings.alpha))
    counts = torch.tensor(settings.counts, dtype=torch.float32)
    return counts.sum() / (len(counts) * counts)


class OrdinalLoss(CellLoss):
    """Binary cells "grade > k" for k = 0..C-2; class weights do not apply."""

    factor: torch.Tensor
    target: torch.Tensor

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        classes = len(settings.alpha)
        self.cells, self.gamma = classes - 1, settings.gamma
        above = torch.arange(classes).view(-1, 1) > torch.arange(classes - 1)  # (C, C-1)
        self.register_buffer("factor", torch.tensor(settings.alpha))
        self.register_buffer("target", _smooth(above.float(), settings.smoothing))

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(B, C-1), (B,) -> (B,)."""
        cells = _focal_cells(logits.float(), self.target[targets], self.gamma)
        return self.factor[targets] * cells.sum(1)
