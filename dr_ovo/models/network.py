"""The network: frozen stem, branches with their heads, BatchNorm, checkpointing, weight decay.

A shared network has one branch for all pairs, an independent one has a branch per pair; those of
other heads have one branch with another head.
"""

from __future__ import annotations

import copy
import zlib
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dr_ovo.decoding.heads import head_of, logit_width
from dr_ovo.errors import UserError
from dr_ovo.models.architectures import CONTIGUOUS
from dr_ovo.models.backbone import feature_width
from dr_ovo.models.compilation import Compiler, Function
from dr_ovo.models.losses import TORCH_HEADS
from dr_ovo.models.parts.layer_decay import layer_groups
from dr_ovo.models.parts.random_layers import (
    MaskedDropout,
    draws_on_its_own,
    keeps_images_apart,
    mask_drop_paths,
    uses_drop_paths,
)
from dr_ovo.models.parts.stem import WHOLE, split_backbone
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.pairs import Pair, pair_name


@dataclass(frozen=True)
class BranchSpec:
    """A branch's name (as in its file name), the pairs it classifies, and its number of logits.

    `independent`: it is trained only on samples of its one pair. `first_logit`: what its logits are
    before it is trained, but for small random numbers; None: 0.
    """

    name: str
    pairs: tuple[Pair, ...]
    outputs: int
    independent: bool = False
    first_logit: float | None = None


def branch_specs(head: str, ovo_mode: str, num_classes: int, pairs: list[Pair]) -> list[BranchSpec]:
    """The branches of a network with this head; `pairs` are those to be trained."""
    if not head_of(head).paired:
        first = TORCH_HEADS[head].first_logit(num_classes)
        return [BranchSpec(head, (), logit_width(head, num_classes), first_logit=first)]
    if ovo_mode == "shared":
        return [BranchSpec("ovo", tuple(pairs), len(pairs))]
    return [BranchSpec(pair_name(pair), (pair,), 1, independent=True) for pair in pairs]


class Branch(nn.Module):
    """The trained rest of a backbone, pooled by timm, with dropout and a linear head."""

    def __init__(self, rest: nn.Module, features: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.rest = rest
        self.dropout = MaskedDropout(dropout, features)
        self.head = nn.Linear(features, outputs)
        self.live_batchnorm = False
        self.draws_on_its_own = False  # random numbers beside the masks of its MaskedLayers

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Stem features -> pooled features (B, F)."""
        return self.rest(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Stem features (images if nothing is frozen) -> logits (B, outputs)."""
        return self.head(self.dropout(self.features(x)))

    def parameter_groups(
        self, weight_decay: float, layer_decay: float = 1.0
    ) -> list[dict[str, Any]]:
        """For an optimizer: no weight decay on biases, norms and what timm's authors exclude.

        With a `layer_decay` below 1 groups have an `lr_scale`, by which their rate is multiplied.
        """
        excluded: set[str] = getattr(self.rest, "no_weight_decay", set)()
        if layer_decay < 1 and any(True for _ in self.rest.parameters()):
            return layer_groups(
                self.rest, self.head, weight_decay=weight_decay, no_weight_decay=excluded,
                layer_decay=layer_decay,
            )  # fmt: skip
        names = [f"rest.{name}" for name in excluded]
        return param_groups_weight_decay(self, weight_decay, no_weight_decay_list=names)

    def set_checkpointing(self, wanted: bool) -> bool:
        """Switches gradient checkpointing on or off; returns whether it is on."""
        try:
            cast(Any, self.rest).set_grad_checkpointing(wanted)
        except (AssertionError, AttributeError):  # from timm, for models without support
            return False
        return wanted

    def train(self, mode: bool = True) -> Branch:
        """Training mode; BatchNorm keeps its pretrained statistics unless `live_batchnorm`.

        The statistics of micro-batches of two are useless, and with fixed ones N micro-batches
        equal one large batch.
        """
        super().train(mode)
        if not self.live_batchnorm:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


class OvoNetwork(nn.Module):
    """`stem` (None if nothing is frozen) and `branches` by name."""

    def __init__(
        self, stem: nn.Module | None, branches: dict[str, Branch], frozen_stages: int
    ) -> None:
        super().__init__()
        self.stem = stem
        self.branches = nn.ModuleDict(branches)
        self.frozen_stages = frozen_stages
        self.memory_format = CONTIGUOUS  # in which it trains
        self.checkpointing = False
        self._compiled_stem: Function | None = None
        if stem is not None:
            stem.requires_grad_(False)

    def branch(self, name: str) -> Branch:
        """The branch of that name."""
        return cast(Branch, self.branches[name])

    def use_live_batchnorm(self, live: bool) -> None:
        """Whether the branches' BatchNorm takes its statistics from micro-batches in training."""
        for name in self.branches:
            self.branch(name).live_batchnorm = live

    def set_checkpointing(self) -> bool:
        """Switches gradient checkpointing on in all branches; whether it was off, and is on now.

        It repeats the forward pass, which would update live BatchNorm statistics twice.
        """
        branches = [self.branch(name) for name in self.branches]
        if self.checkpointing or any(branch.live_batchnorm for branch in branches):
            return False
        switched = [branch.set_checkpointing(True) for branch in branches]
        self.checkpointing = all(switched)
        return self.checkpointing

    def train(self, mode: bool = True) -> OvoNetwork:
        """The stem stays in eval mode: SwinV2 has DropPath, CNNs BatchNorm, in frozen layers."""
        super().train(mode)
        if self.stem is not None:
            self.stem.eval()
        return self

    def compile_stem(self, compiler: Compiler) -> None:
        """Has the stem compiled when `trained_stem` is first called."""
        if self.stem is not None:
            self._compiled_stem = compiler(self._stem_function)

    def stem_features(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, S, S) -> the input of the branches; without gradients."""
        with torch.no_grad():
            return self.stem_with_gradients(images)

    def stem_with_gradients(self, images: torch.Tensor) -> torch.Tensor:
        """`stem_features`, through which gradients flow where they are asked for."""
        return images if self.stem is None else self._stem_function(images)

    def trained_stem(self, images: torch.Tensor) -> torch.Tensor:
        """`stem_features` in training: compiled, where that was asked for and can be."""
        if self._compiled_stem is None:
            return self.stem_features(images)
        with torch.no_grad():
            return self._compiled_stem(images)

    @property
    def _stem_function(self) -> Function:
        """What the stem does. Nothing keeps it but the stem: no cycle holds a network's memory."""
        if self.frozen_stages == WHOLE:
            return cast(Function, self.stem)
        return cast(Function, cast(Any, self.stem).forward_features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, S, S) -> the logits of all branches side by side (B, K)."""
        features = self.stem_features(images)
        return torch.cat([branch(features) for branch in self.branches.values()], dim=1)

    def backbone_state(self, name: str) -> StateDict:
        """The weights of the stem and of branch `name`, under timm's own names."""
        stem = self.stem.state_dict() if self.stem is not None else {}
        return {**stem, **self.branch(name).rest.state_dict()}


def build_network(
    backbone: nn.Module,
    specs: list[BranchSpec],
    *,
    img_size: int,
    frozen_stages: int,
    dropout: float,
    seed: int,
    width: int | None = None,
) -> OvoNetwork:
    """The network on a backbone (B, 3, S, S) -> (B, F); heads are initialised from (seed, branch).

    It takes the backbone's own modules: a caller that goes on using the backbone gives a copy.
    `frozen_stages` of the result is 0 if the architecture has no stages to cut at. `width`: F, if
    it is known.
    """
    stem, rest = None, backbone
    if frozen_stages == WHOLE:
        stem, rest = backbone, nn.Sequential()
    elif frozen_stages:
        halves = split_backbone(backbone, frozen_stages, img_size)
        if halves is None:
            frozen_stages = 0
        else:
            stem, rest = halves
    width = width or feature_width(backbone, img_size)
    mask_drop_paths(rest)
    rests = [*(copy.deepcopy(rest) for _ in specs[1:]), rest]
    branches = {}
    for spec, own in zip(specs, rests, strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(branch_seed(seed, spec.name))
            branches[spec.name] = Branch(own, width, spec.outputs, dropout)
            if spec.first_logit is not None:
                nn.init.constant_(branches[spec.name].head.bias, spec.first_logit)
    return OvoNetwork(stem, branches, frozen_stages)


def find_own_draws(network: OvoNetwork, img_size: int) -> bool:
    """Whether the branches draw random numbers beside their masks, which notes it in each. On the
    CPU, with its statistics of BatchNorm fixed."""
    branches = [network.branch(name) for name in network.branches]
    features = network.stem_features(torch.zeros(1, 3, img_size, img_size))
    draws = draws_on_its_own(branches[0].train(), features)
    for branch in branches:
        branch.draws_on_its_own = draws
    return draws


def leaves_blocks_out(network: OvoNetwork, img_size: int) -> bool:
    """Whether the branches have stochastic depth. On the CPU, with its statistics of BatchNorm
    fixed. Raises UserError where it can't leave out whole images."""
    branch = next(iter(network.branches.values()))
    images = torch.rand(2, 3, img_size, img_size, generator=torch.Generator().manual_seed(0))
    features = network.stem_features(images)
    if not keeps_images_apart(branch, features):
        raise UserError(
            "--drop_path: the blocks of this network compute the images of a batch in an order in "
            "which whole ones can't be left out. Omit it, or choose another architecture."
        )
    return uses_drop_paths(branch.train(), features)


def branch_seed(seed: int, branch: str, *position: int) -> int:
    """A 63-bit seed from (seed, branch, position), independent of other branches."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(branch.encode()), *position])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
