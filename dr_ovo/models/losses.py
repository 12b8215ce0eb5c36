"""Losses for every head: focal loss, cross-entropy, label smoothing, weights per class.

A loss is a sum over cells with constant factors, so that micro-batches add up to a large batch.

A cell is (sample, pair that contains its grade) for one-vs-one, (sample, threshold) for ordinal,
and the sample for softmax and regression. Focal loss: Lin et al. 2017, arXiv 1708.02002, with the
modulator |t - p|^gamma of the smoothed target t: with the hard target the minimum would be at
p = 1, which would cancel the smoothing. Without smoothing it is the usual (1 - p_t)^gamma.

A constant alpha scales all gradients equally, which has almost no effect under AdamW without
clipping. An alpha per class shifts the balance between classes.
"""

from __future__ import annotations

from collections.abc import Callable
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
    (C,), or 1 if `counts` is None too. `drawn` (C,): how much more often than it occurs a sample of
    each class is drawn. `present` (C,): how many there are, whether weights are computed from that
    or not; None: `counts`, or as many of each. `distance`: of a number from the grade, `smooth_l1`
    or `mse`.
    """

    gamma: float
    alpha: tuple[float, ...]
    smoothing: float
    weights: tuple[float, ...] | None
    counts: tuple[int, ...] | None
    drawn: tuple[float, ...] | None = None
    distance: str = "smooth_l1"
    present: tuple[int, ...] | None = None

    @property
    def all_drawn(self) -> torch.Tensor:
        """(C,): `drawn`, 1 where nothing is drawn more often."""
        return torch.tensor(self.drawn or (1.0,) * len(self.alpha))

    @property
    def all_present(self) -> torch.Tensor:
        """(C,): `present`, `counts` or 1, as far as they are known."""
        return torch.tensor(self.present or self.counts or (1,) * len(self.alpha))


class CellLoss(nn.Module):
    """Maps (logits (B, K), targets (B,)) to the sum of each sample's cells (B,).

    `cells`: the number of cells per sample. `prior_shift` (K,): what weights and sampling add to
    the logits that the prevalences alone would give; exact for cross-entropy, approximate under
    focal loss and label smoothing. A threshold has several grades on each side: where these weigh
    differently, its shift is that over all samples. 0 for a number, from which none is known.
    """

    cells: int
    prior_shift: tuple[float, ...]


def create_loss(head: str, settings: LossSettings, pairs: list[Pair]) -> CellLoss:
    """The loss of a branch with this head that answers `pairs`."""
    return TORCH_HEADS[head].loss(settings, pairs)


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
        weights = alpha * _pair_weights(settings, pairs)
        self.prior_shift = _log_ratios(weights * settings.all_drawn.view(-1, 1), pairs)
        self.register_buffer("factor", signs.abs() * weights)
        self.register_buffer("target", _smooth((signs > 0).float(), settings.smoothing))

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(B, P), (B,) -> (B,)."""
        cells = _focal_cells(logits.float(), self.target[targets], self.gamma)
        return (self.factor[targets] * cells).sum(1)


def _log_ratios(weights: torch.Tensor, pairs: list[Pair]) -> tuple[float, ...]:
    """(P,): the logarithm of how much more a sample of a pair's b weighs (C, P) than one of its
    a."""
    logs = weights.double().log()
    return tuple(float(logs[b, i] - logs[a, i]) for i, (a, b) in enumerate(pairs))


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
        factor = torch.tensor(settings.alpha) * _class_weights(settings)
        logs = (factor * settings.all_drawn).double().log()
        self.prior_shift = tuple((logs - logs.mean()).tolist())
        self.register_buffer("factor", factor)

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
    """Binary cells "grade > k" for k = 0..C-2, each weighted by its own counts: n / (2 n_{>k})
    above, n / (2 n_{<=k}) below."""

    factor: torch.Tensor
    target: torch.Tensor

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        classes = len(settings.alpha)
        self.cells, self.gamma = classes - 1, settings.gamma
        above = torch.arange(classes).view(-1, 1) > torch.arange(classes - 1)  # (C, C-1)
        weights = _threshold_weights(settings, above)
        factor = torch.tensor(settings.alpha).view(-1, 1) * weights
        self.prior_shift = _threshold_shifts(settings, factor, above)
        self.register_buffer("factor", factor)
        self.register_buffer("target", _smooth(above.float(), settings.smoothing))

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(B, C-1), (B,) -> (B,)."""
        cells = _focal_cells(logits.float(), self.target[targets], self.gamma)
        return (self.factor[targets] * cells).sum(1)


def _threshold_weights(settings: LossSettings, above: torch.Tensor) -> torch.Tensor:
    """(C, C-1): the weight of a sample of class c at threshold k."""
    if settings.counts is None:
        return torch.ones(above.shape)
    counts = torch.tensor(settings.counts, dtype=torch.float32).view(-1, 1)
    over, under = (counts * above).sum(0), (counts * ~above).sum(0)
    return torch.where(above, counts.sum() / (2 * over), counts.sum() / (2 * under))


def _threshold_shifts(
    settings: LossSettings, factor: torch.Tensor, above: torch.Tensor
) -> tuple[float, ...]:
    """(C-1,): by how much a sample's `factor` (C, C-1) and drawing move the log odds that it is
    above a threshold, over all samples."""

    def log_odds(masses: torch.Tensor) -> torch.Tensor:
        return (masses * above).sum(0).log() - (masses * ~above).sum(0).log()

    present = settings.all_present.double().view(-1, 1).expand(above.shape)
    learned = present * settings.all_drawn.double().view(-1, 1) * factor.double()
    return tuple((log_odds(learned) - log_odds(present)).tolist())


class RegressionLoss(CellLoss):
    """The distance of a number from the grade: smooth L1 or squared. Focal loss and label smoothing
    are of probabilities, and don't apply."""

    factor: torch.Tensor

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.cells, self.prior_shift = 1, (0.0,)
        self.distance = F.mse_loss if settings.distance == "mse" else F.smooth_l1_loss
        self.register_buffer("factor", torch.tensor(settings.alpha) * _class_weights(settings))

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(B, 1), (B,) -> (B,)."""
        numbers = logits.float().squeeze(1)
        cells = self.distance(numbers, targets.to(numbers.dtype), reduction="none")
        return self.factor[targets] * cells


@dataclass(frozen=True)
class TorchHead:
    """What torch has to know of a head: its loss, for a branch that answers these pairs, and where
    the logits of C classes begin (None: as linear layers do)."""

    loss: Callable[[LossSettings, list[Pair]], CellLoss]
    first_logit: Callable[[int], float | None] = lambda _: None


# The other half of each stands in `dr_ovo/decoding/heads.py`, `HEADS`.
TORCH_HEADS = {
    "ovo": TorchHead(OvoLoss),
    "softmax": TorchHead(lambda settings, _: SoftmaxLoss(settings)),
    "ordinal": TorchHead(lambda settings, _: OrdinalLoss(settings)),
    "regression": TorchHead(
        lambda settings, _: RegressionLoss(settings), lambda classes: (classes - 1) / 2
    ),
}
