"""Building a timm backbone for an input size; what it takes, and how many features it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.data import resolve_data_config
from torch import nn

from dr_ovo.errors import UserError
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.models.weights.fitting import fit_weights
from dr_ovo.models.weights.published import pretrained_cfg


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


def create_backbone(
    timm_name: str, size: int, weights: StateDict | None, drop_path: float = 0.0
) -> nn.Module:
    """A headless timm model, (B, 3, size, size) -> pooled features (B, F).

    `weights` None: random initialisation from torch's generator. `drop_path`: stochastic depth, up
    to this share in the last block; 0: as timm builds it. Raises UserError for weights that don't
    fit, and for stochastic depth of a model that has none.
    """
    depth = {"drop_path_rate": drop_path} if drop_path else {}
    # CNNs take any size but no img_size argument; the others must be built for their size.
    attempts: tuple[dict[str, Any], ...] = ({"img_size": size, **depth}, depth)
    for options in attempts:
        try:
            if weights is None:
                return timm.create_model(timm_name, num_classes=0, **options)
            return fit_weights(timm_name, weights, **options)
        except TypeError as error:
            if "img_size" in str(error):
                continue
            if depth and "drop_path_rate" in str(error):
                raise UserError(
                    f"--drop_path {drop_path:g}: {timm_name} has no stochastic depth. Leave it "
                    "out, or choose another architecture."
                ) from None
            raise
    raise AssertionError("a model without img_size was refused for its img_size")


def feature_width(backbone: nn.Module, img_size: int) -> int:
    """F, the number of pooled features, from a forward pass: timm's `num_features` is sometimes
    the width before a final layer of the head."""
    with torch.no_grad():
        return int(backbone.eval()(torch.zeros(1, 3, img_size, img_size)).shape[1])
