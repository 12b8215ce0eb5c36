"""Building a timm backbone for an input size; its size, mean and standard deviation of input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.data import resolve_data_config
from torch import nn

from dr_ovo.errors import UserError
from dr_ovo.models.pretrained_weights import StateDict, fit_weights, pretrained_cfg

MAX_SIZE = 1024  # pixels, up to which working sizes are suggested
# What timm raises for an input size that an architecture can't take.
SIZE_ERRORS = (RuntimeError, ValueError, AssertionError, TypeError)


@dataclass(frozen=True)
class InputSpec:
    """What a backbone takes: (B, 3, size, size), each channel minus `mean`, divided by `std`."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def input_spec(timm_name: str, img_size: int = 0) -> InputSpec:
    """The input of a timm model; `img_size` 0 means the size it was pretrained at."""
    data = resolve_data_config(pretrained_cfg=pretrained_cfg(timm_name).to_dict())
    return InputSpec(img_size or data["input_size"][-1], tuple(data["mean"]), tuple(data["std"]))


def check_size(timm_name: str, size: int) -> None:
    """Raises UserError, with the nearest sizes that work, if the model can't take `size`."""
    if _accepts_size(timm_name, size):
        return
    # Architectures that constrain the size want multiples of 16 or 32.
    candidates = [s for s in range(32, MAX_SIZE + 1, 16) if s != size]
    near = []
    for other in sorted(candidates, key=lambda s: abs(s - size)):
        if _accepts_size(timm_name, other):
            near.append(other)
        if len(near) == 3:
            break
    sizes = ", ".join(str(s) for s in sorted(near)) or "none found"
    raise UserError(f"--img_size {size}: {timm_name} can't be built for it. Nearest: {sizes}.")


def _accepts_size(timm_name: str, size: int) -> bool:
    """Whether the model runs at this size; on the meta device, which computes nothing."""
    try:
        with torch.device("meta"), torch.no_grad():
            backbone = _create(timm_name, size).eval()
            backbone(torch.empty(1, 3, size, size))
    except SIZE_ERRORS:
        return False
    return True


def create_backbone(timm_name: str, size: int, weights: StateDict | None) -> nn.Module:
    """A headless timm model, (B, 3, size, size) -> pooled features (B, F).

    `weights` None: random initialisation from torch's generator. Raises UserError for weights that
    don't fit.
    """
    return _create(timm_name, size, weights)


def _create(timm_name: str, size: int, weights: StateDict | None = None) -> nn.Module:
    # CNNs take any size but no img_size argument; the others must be built for their size.
    attempts: tuple[dict[str, Any], ...] = ({"img_size": size}, {})
    for options in attempts:
        try:
            if weights is None:
                return timm.create_model(timm_name, num_classes=0, **options)
            return fit_weights(timm_name, weights, **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
    raise AssertionError("a model without img_size was refused for its img_size")
