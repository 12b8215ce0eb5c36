"""Where and how a backbone is cut in two: a frozen stem, and the rest that the branches train.

Each half is the timm model itself with the other half's modules replaced by empty ones, so that
timm's own forward (checkpointing, norms, pooling, NHWC layouts) runs in both. The state dicts of
the halves have disjoint keys, which together are timm's own. Plain vision transformers, which have
no stages, are cut between their blocks (dr_ovo/models/parts/plain_vit.py).
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import nn

from dr_ovo.models.parts.plain_vit import is_plain, split_plain

REDUCTIONS = (4, 8, 16, 32)
WHOLE = len(REDUCTIONS)


def find_cut(backbone: nn.Module, stages: int) -> str | None:
    """The module with which a stem of `stages` stages ends; None if timm names none."""
    reduction = REDUCTIONS[stages - 1]
    names = [f["module"] for f in cast(Any, backbone).feature_info if f["reduction"] == reduction]
    # A plain vision transformer has one reduction for all its blocks: it has no stages.
    return names[0] if len(names) == 1 else None


def split_backbone(
    backbone: nn.Module, stages: int, img_size: int
) -> tuple[nn.Module, nn.Module] | None:
    """(stem, rest) with rest(stem.forward_features(x)) equal to backbone(x).

    None if the architecture has no such cut. `stages` is 1 to 3; `backbone` maps
    (B, 3, S, S) to pooled features (B, F). The halves share its modules with it.
    """
    backbone = backbone.eval()
    probe = torch.rand(2, 3, img_size, img_size, generator=torch.Generator().manual_seed(0))
    if is_plain(backbone):
        halves = split_plain(backbone, stages)
    else:
        halves = _split_after_stage(backbone, stages, probe)
    if halves is None:
        return None
    stem, rest = halves
    try:
        with torch.no_grad():
            uncut, joined = backbone(probe), rest(cast(Any, stem).forward_features(probe))
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
        return None
    # Not bit for bit, though it was on every machine tried: a different kernel choice in the
    # second pass must not decide what is frozen.
    same = joined.shape == uncut.shape and torch.allclose(joined, uncut, rtol=1e-4, atol=1e-5)
    return (stem, rest) if same else None


def _split_after_stage(
    backbone: nn.Module, stages: int, probe: torch.Tensor
) -> tuple[nn.Module, nn.Module] | None:
    """The halves of a backbone that has stages; not yet tried. None if it can't be cut there."""
    cut = find_cut(backbone, stages)
    if cut is None:
        return None
    order = _execution_order(backbone, probe)
    if any(cut[:end] not in order for end in _prefix_ends(cut)):
        return None
    stem_names, rest_names = _sides(backbone, cut, order)
    return _half(backbone, stem_names, rest_names), _half(backbone, rest_names, stem_names)


def _prefix_ends(name: str) -> list[int]:
    """Where the dotted prefixes of a module's name end, including the whole name."""
    return [i for i, character in enumerate(name) if character == "."] + [len(name)]


def _execution_order(backbone: nn.Module, probe: torch.Tensor) -> dict[str, int]:
    """The rank in which each submodule first runs in a forward pass."""
    order: dict[str, int] = {}

    def record(name: str) -> None:
        order.setdefault(name, len(order))

    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: record(name))
        for name, module in backbone.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            backbone(probe)
    finally:
        for hook in hooks:
            hook.remove()
    return order


def _sides(backbone: nn.Module, cut: str, order: dict[str, int]) -> tuple[list[str], list[str]]:
    """(the modules that run up to and including `cut`, those that run after it)."""
    before, after = [], []
    parts = cut.split(".")
    for depth in range(len(parts)):
        parent = ".".join(parts[:depth])
        prefix = ".".join(parts[: depth + 1])
        for child, _ in backbone.get_submodule(parent).named_children():
            name = f"{parent}.{child}" if parent else child
            if name == prefix:
                if depth == len(parts) - 1:
                    before.append(name)
            elif order.get(name, len(order)) < order[prefix]:
                before.append(name)
            else:
                after.append(name)
    return before, after


def _half(backbone: nn.Module, kept: list[str], emptied: list[str]) -> nn.Module:
    """A backbone with the modules `kept` themselves, in which those `emptied` pass their input
    through; what is in neither, their parents, is copied."""
    instead = {id(module): module for module in map(backbone.get_submodule, kept)}
    # An empty Sequential, not Identity: timm's checkpointing iterates over stages.
    instead |= {id(backbone.get_submodule(name)): nn.Sequential() for name in emptied}
    return copy.deepcopy(backbone, instead)
