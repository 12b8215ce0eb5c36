"""What the branches of a network put out on images: logits, features and their statistics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from dr_ovo.batches.augmentation import flipped_views, normalise, to_unit_range
from dr_ovo.device import to_device, without_tf32
from dr_ovo.distributed.ranks import ALONE, Ranks
from dr_ovo.full_memory import Halving, at_once
from dr_ovo.models.backbone import InputSpec
from dr_ovo.models.memory_format import contiguous
from dr_ovo.models.network import OvoNetwork

MEASURE_BATCH = 32  # images; halved where a GPU's memory is full
_Part = tuple[np.ndarray, torch.Tensor, torch.Tensor]  # positions (B,), logits (B, K), features


@dataclass(frozen=True)
class Outputs:
    """The outputs of a branch on n samples: `positions` (n,), `logits` (n, K), the mean and
    standard deviation (F,) of its pooled features, and these, where asked for: `features` (n, F).
    """

    positions: np.ndarray
    logits: np.ndarray
    feature_mean: torch.Tensor
    feature_std: torch.Tensor
    features: np.ndarray | None = None


def branch_outputs(
    network: OvoNetwork,
    batches: Iterable[tuple[np.ndarray, torch.Tensor]],
    spec: InputSpec,
    device: torch.device,
    wanted: dict[str, np.ndarray | None],
    views: int,
    ranks: Ranks = ALONE,
    *,
    are_features: bool = False,
    with_features: bool = False,
) -> dict[str, Outputs]:
    """The outputs of the branches `wanted`, in eval mode, on the images of `batches`.

    Of several `ranks` each is given its share of whole batches, by turns, and gets the outputs on
    all of them, with the bits of a single process.

    `wanted` maps a branch to a mask (M,) bool of the positions that it sees, or None for all.
    Batches are (positions (B,), images (B, S, S, 3) uint8); or, if they `are_features`, the stem's
    features (B, views, ...) of the flips. Logits and features are means over `views` flips of each
    image. Always in float32, without TF32, and in NCHW, however it is
    trained: 16-bit logits have ties, and results would depend on the machine.
    """
    network.eval()
    gathered = {name: _Collector(with_features) for name in wanted}
    halving = Halving("in evaluation", None if are_features else at_once(device))
    with contiguous(network, wanted), without_tf32(), torch.inference_mode():
        for number, (positions, images) in enumerate(batches):

            def compute(
                rows: slice, positions: np.ndarray = positions, images: torch.Tensor = images
            ) -> dict[str, _Part]:
                if are_features:
                    stems = [*images[rows].unbind(1)]
                else:
                    whole = normalise(to_unit_range(images[rows], device), spec.mean, spec.std)
                    stems = [network.stem_features(view) for view in flipped_views(whole, views)]
                return _outputs_on(network, positions[rows], stems, wanted)

            for parts in halving.parts(len(positions), compute):
                for name, part in parts.items():
                    gathered[name].add(number, *part)
    outputs = {name: parts.outputs(ranks) for name, parts in gathered.items()}
    return {name: found for name, found in outputs.items() if found is not None}


def _outputs_on(
    network: OvoNetwork,
    positions: np.ndarray,
    stems: list[torch.Tensor],
    wanted: dict[str, np.ndarray | None],
) -> dict[str, _Part]:
    """What each branch puts out on those images that it sees; `stems` has the stem's features
    (B, ...) of each view."""
    parts = {}
    for name, mask in wanted.items():
        own, inputs = _own_samples(positions, stems, mask)
        if len(own):
            branch = network.branch(name)
            mean = torch.stack([branch.features(view) for view in inputs]).mean(0)
            parts[name] = (own, branch.head(mean), mean)  # the head is linear: the logits' mean
    return parts


def _own_samples(
    positions: np.ndarray, stems: list[torch.Tensor], mask: np.ndarray | None
) -> tuple[np.ndarray, list[torch.Tensor]]:
    """The positions (B,) that a branch sees, and of each view the stem's features there."""
    if mask is None or mask[positions].all():
        return positions, stems
    rows = mask[positions].nonzero()[0]
    chosen = to_device(torch.from_numpy(rows), stems[0].device)
    return positions[rows], [stem[chosen] for stem in stems]


@dataclass(frozen=True)
class _Summed:
    """A part of a batch, with that batch's number: positions (B,), logits (B, K), the sums (F,) of
    the features and of their squares, and, where asked for, the features (B, F)."""

    batch: int
    positions: np.ndarray
    logits: torch.Tensor
    total: torch.Tensor
    squares: torch.Tensor
    features: torch.Tensor | None = None


class _Collector:
    """Collects a branch's outputs batch by batch, on the device; of its features only the sums,
    unless all are asked for."""

    def __init__(self, with_features: bool = False) -> None:
        self.parts: list[_Summed] = []
        self.with_features = with_features

    def add(
        self, batch: int, positions: np.ndarray, logits: torch.Tensor, features: torch.Tensor
    ) -> None:
        """Adds a part of a batch: positions (B,), logits (B, K), features (B, F)."""
        kept = features if self.with_features else None
        features = features.double()
        sums = features.sum(0), features.square().sum(0)
        self.parts.append(_Summed(batch, positions, logits, *sums, kept))

    def outputs(self, ranks: Ranks) -> Outputs | None:
        """The outputs over all batches of all ranks; None without any."""
        parts = self.parts if ranks.is_alone else _of_all(self.parts, ranks)
        if not parts:
            return None
        positions = np.concatenate([part.positions for part in parts])
        # One after the other: another order of adding rounds differently.
        total, squares = sum(part.total for part in parts), sum(part.squares for part in parts)
        mean = torch.as_tensor(total) / len(positions)
        variance = torch.as_tensor(squares) / len(positions) - mean.square()
        return Outputs(
            positions=positions,
            logits=torch.cat([part.logits for part in parts]).cpu().numpy(),
            feature_mean=mean.float().cpu(),
            feature_std=variance.clamp_min(0).sqrt().float().cpu(),
            features=self._features(parts),
        )

    def _features(self, parts: list[_Summed]) -> np.ndarray | None:
        """The features (n, F) of all parts, where asked for."""
        kept = [part.features for part in parts if part.features is not None]
        return torch.cat(kept).float().cpu().numpy() if kept else None


def _of_all(parts: list[_Summed], ranks: Ranks) -> list[_Summed]:
    """The parts of all ranks, in the order of a single process."""
    own = [
        _Summed(
            p.batch, p.positions, p.logits.cpu(), p.total.cpu(), p.squares.cpu(),
            None if p.features is None else p.features.cpu(),
        )
        for p in parts
    ]  # fmt: skip
    found = [(p.batch, rank, p) for rank, each in enumerate(ranks.gather(own)) for p in each]
    return [part for _, _, part in sorted(found, key=lambda one: one[:2])]
