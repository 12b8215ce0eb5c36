"""Which module of a network gives the features that still have places, and how it lays them out."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from timm.layers import SelectAdaptivePool2d
from torch import nn

from dr_ovo.errors import UserError
from dr_ovo.models.network import OvoNetwork
from dr_ovo.models.parts.plain_vit import BLOCKS, is_plain

LAST = 32  # pixels of the input that a step on the last map of features is


class NoPlacesError(UserError):
    """A network whose features can't be told apart by their places."""


def last_pool(module: nn.Module) -> SelectAdaptivePool2d | None:
    """The module's average over all places, with which timm's models end; None without just one."""
    pools = [one for one in module.modules() if isinstance(one, SelectAdaptivePool2d)]
    return pools[0] if len(pools) == 1 and pools[0].pool_type == "avg" else None


def halves(network: OvoNetwork) -> list[nn.Module]:
    """The stem, where there is one, and what each branch trains: parts of timm's own model."""
    rests = [network.branch(name).rest for name in network.branches]
    return [*([] if network.stem is None else [network.stem]), *rests]


def stage_modules(network: OvoNetwork, stride: int) -> list[nn.Module]:
    """The modules, one or one of each branch, after which a step on the map is `stride` pixels; for
    LAST the last ones that the architecture has. Of a plain vision transformer the block before the
    last one, behind which only the class token is read. Raises NoPlacesError."""
    model = halves(network)[0]
    if is_plain(model):
        name = f"{BLOCKS}.{_blocks(network) - 2}"
    else:
        stages = list(getattr(model, "feature_info", None) or [])
        fitting = [one for one in stages if stride in (LAST, one["reduction"])]
        if not fitting:
            known = ", ".join(str(one["reduction"]) for one in stages) or "none"
            raise NoPlacesError(
                f"--map_stride {stride}: this architecture has no stage with that step (it has: "
                f"{known}). Leave --map_stride out."
            )
        name = str(fitting[-1]["module"])
    found = [module for half in halves(network) if (module := _kept(half, name)) is not None]
    if not found:
        raise NoPlacesError(
            f"There are no maps of this architecture: timm names {name} as its last stage, and it "
            "has none by that name."
        )
    return found


class Layout(NamedTuple):
    """How features are laid out: the sides of their map, whether the channels come last, and how
    many tokens come before those of the places."""

    height: int
    width: int
    channels_last: bool
    prefix: int = 0


def layout_of(features: Any, model: nn.Module) -> Layout:
    """The layout of features (B, C, h, w), (B, h, w, C), or of tokens (B, N, C) of a square map.
    Raises NoPlacesError for any other, and for a single place."""
    shape = tuple(features.shape) if isinstance(features, torch.Tensor) else ()
    if len(shape) == 4:
        last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        height, width = shape[1:3] if last else shape[2:]
        if height * width > 1:
            return Layout(height, width, last)
        raise NoPlacesError(
            "There is no map: the network's input is so small that these features have a single "
            "place. Use a smaller --map_stride, or a network with a larger --img_size."
        )
    if len(shape) == 3:
        for prefix in (int(getattr(model, "num_prefix_tokens", 0)), 0):
            side = math.isqrt(shape[1] - prefix)
            if side > 1 and side**2 + prefix == shape[1]:
                return Layout(side, side, True, prefix)
    raise NoPlacesError(
        f"There are no maps of this architecture: its last features have the shape {shape or '?'}, "
        "which has no places."
    )


def _blocks(network: OvoNetwork) -> int:
    """The number of blocks of a plain vision transformer, in whichever half they are."""
    with_blocks = [half for half in halves(network) if hasattr(half, BLOCKS)]
    names = [
        int(name) for half in with_blocks for name, _ in half.get_submodule(BLOCKS).named_children()
    ]
    return max(names) + 1


def _kept(half: nn.Module, name: str) -> nn.Module | None:
    """The module of that name, unless another half has it."""
    try:
        module = half.get_submodule(name)
    except AttributeError:
        return None
    emptied = isinstance(module, nn.Sequential) and not len(module)
    return None if emptied else module
