"""Building a timm backbone at a given input size, and what it expects of its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.data import resolve_data_config
from torch import nn

from dr_ovo.errors import UserError
from dr_ovo.models.pretrained_weights import StateDict, fit_weights, pretrained_cfg

LARGEST_SIZE = 1024
# What timm raises at an input size that an architecture can't take.
SIZE_ERRORS = (RuntimeError, ValueError, AssertionError, TypeError)


@dataclass(frozen=True)
class InputSpec:
    """What a backbone takes: (B, 3, size, size), each channel less `mean`, divided by `std`."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def input_spec(timm_name: str, img_size: int = 0) -> InputSpec:
    """The input of a timm model; `img_size` 0 stands for the size it was pretrained at."""
    data = resolve_data_config(pretrained_cfg=pretrained_cfg(timm_name).to_dict())
    return InputSpec(img_size or data["input_size"][-1], tuple(data["mean"]), tuple(data["std"]))


def check_size(timm_name: str, size: int) -> None:
    """Raises UserError, with the nearest sizes that work, where the model can't take `size`."""
    if _takes(timm_name, size):
        return
    # Every architecture here that is choosy about its size is so in steps of 16 or 32.
    steps = [s for s in range(32, LARGEST_SIZE + 1, 16) if s != size]
    near = []
    for other in sorted(steps, key=lambda s: abs(s - size)):
        if _takes(timm_name, other):
            near.append(other)
        if len(near) == 3:
            break
    sizes = ", ".join(str(s) for s in sorted(near)) or "none found"
    raise UserError(f"--img_size {size}: {timm_name} can't be built for it. Nearest: {sizes}.")


def _takes(timm_name: str, size: int) -> bool:
    """Whether the model runs at this size; on the meta device, so nothing is computed."""
    try:
        with torch.device("meta"), torch.no_grad():
            backbone = _create(timm_name, size).eval()
            backbone(torch.empty(1, 3, size, size))
    except SIZE_ERRORS:
        return False
    return True


def create_backbone(timm_name: str, size: int, weights: StateDict | None) -> nn.Module:
    """A headless timm model, (B, 3, size, size) -> pooled features (B, F).

    `weights` None leaves it random (drawn from torch's generator). Raises UserError for weights
    that don't fit.
    """
    return _create(timm_name, size, weights)


def _create(timm_name: str, size: int, weights: StateDict | None = None) -> nn.Module:
    # CNNs take any size and no img_size; the others must be built for theirs.
    choices: tuple[dict[str, Any], ...] = ({"img_size": size}, {})
    for options in choices:
        try:
            if weights is None:
                return timm.create_model(timm_name, num_classes=0, **options)
            return fit_weights(timm_name, weights, **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
    raise AssertionError("a model without img_size was refused for its img_size")
