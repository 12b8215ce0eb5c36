"""Cutting plain vision transformers, which have no stages: ViT, DeiT, BEiT, EVA (DINOv2, DINOv3).

A stage is a quarter of the blocks; before the first come the patch embedding, the extra tokens and
the position embedding. The stem is the timm model without the later blocks and its head. The rest
is the timm model without what precedes them, and takes tokens instead of images.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from timm.models.beit import Beit
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.utils.checkpoint import checkpoint

STAGES = 4
PLAIN = (VisionTransformer, Beit, Eva)  # with their subclasses, such as the distilled DeiT
# What runs before the blocks; all parameters that are no module's own (tokens, positions) do, too.
BEFORE = ("patch_embed", "pos_drop", "patch_drop", "norm_pre")
BLOCKS, ROTATION = "blocks", "rope"


def is_plain(backbone: nn.Module) -> bool:
    """Whether a backbone is a plain vision transformer of timm's."""
    return isinstance(backbone, PLAIN)


def frozen_blocks(backbone: nn.Module, stages: int) -> int:
    """How many of the blocks `stages` stages (1 to 3) have."""
    return len(cast(Any, backbone).blocks) * stages // STAGES


def split_plain(backbone: nn.Module, stages: int) -> tuple[nn.Module, nn.Module] | None:
    """(stem, rest): rest(stem.forward_features(images)) is what the backbone gives, and their state
    dicts have disjoint names, which together are timm's own.

    None where the blocks share weights (of a learned rotation, of BEiT's common position bias),
    which can't be frozen for some of them and trained for others.
    """
    children = dict(backbone.named_children())
    shared = [name for name in ("rel_pos_bias", ROTATION) if name in children]
    if any(children[name].state_dict() for name in shared):
        return None
    count = frozen_blocks(backbone, stages)
    after = [name for name in children if name not in (*BEFORE, BLOCKS, *shared)]
    early, late = list(cast(Any, backbone).blocks)[:count], list(cast(Any, backbone).blocks)[count:]
    stem = _without(backbone, [*late, *(children[name] for name in after)])
    before = [children[name] for name in BEFORE if name in children]
    rest = _without(backbone, [*early, *before])
    for name in rest._parameters:
        rest._parameters[name] = None
    kind = type(backbone)
    rest.__class__ = type(f"{kind.__name__}Rest", (_TakesTokens, kind), {})
    cast(Any, rest).grid = cast(Any, backbone).patch_embed.grid_size
    return stem, rest


def _without(backbone: nn.Module, modules: list[nn.Module]) -> nn.Module:
    """A copy of the backbone without these modules; those that are blocks are left out, in place of
    the others is one that passes its input through. The other blocks keep their numbers."""
    kept = copy.deepcopy(backbone, {id(module): nn.Sequential() for module in modules})
    for name, block in backbone.get_submodule(BLOCKS).named_children():
        if any(block is module for module in modules):
            del kept.get_submodule(BLOCKS)._modules[name]
    return kept


class _TakesTokens(nn.Module):
    """What is put before a timm class so that it begins with its blocks."""

    grid: tuple[int, int]  # of the patches of an image

    def forward_features(self, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Tokens (B, N, D) after the stem's blocks -> tokens after all blocks and the norm."""
        model = cast(Any, self)
        options = self._rotation()
        for block in model.blocks:
            if model.grad_checkpointing:
                x = checkpoint(block, x, use_reentrant=False, **options)
            else:
                x = block(x, **options)
        return cast(torch.Tensor, model.norm(x))

    def _rotation(self) -> dict[str, Any]:
        """The rotary position embedding, as timm's own forward asks for it; nothing without one."""
        model = cast(Any, self)
        rotation = getattr(model, ROTATION, None)
        if rotation is None:
            return {}
        if model.dynamic_img_size or not hasattr(rotation, "feat_shape"):
            return {ROTATION: rotation.get_embed(shape=self.grid)}
        return {ROTATION: rotation.get_embed()}
