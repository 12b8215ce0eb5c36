"""`--layer_decay`: parameter groups whose learning rate falls with their distance from the head."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

from timm.optim import param_groups_layer_decay
from torch import nn


def layer_groups(
    rest: nn.Module,
    head: nn.Linear,
    *,
    weight_decay: float,
    no_weight_decay: Collection[str],
    layer_decay: float,
) -> list[dict[str, Any]]:
    """Groups with `lr_scale`: layer_decay^n for a layer of `rest` that is n layers below the head,
    1 for the head (Clark et al. 2020, Bao et al. 2022).

    What a layer is, timm says for each architecture: a block, or a stage. Layers are counted down
    from the head, so a frozen stem changes no scale. `no_weight_decay`: names of `rest`'s
    parameters without weight decay; biases and norms have none either.
    """
    classifier = getattr(rest, "pretrained_cfg", {}).get("classifier") or "head"
    above = classifier if isinstance(classifier, str) else classifier[0]
    named = [
        *rest.named_parameters(),
        *((f"{above}.{name}", parameter) for name, parameter in head.named_parameters()),
    ]
    # To timm a whole model, whose classifier is the head.
    whole = SimpleNamespace(
        named_parameters=lambda: iter(named), pretrained_cfg={"classifier": classifier}
    )
    if hasattr(rest, "group_matcher"):  # without it timm takes every 12 tensors as a layer
        whole.group_matcher = rest.group_matcher
    return param_groups_layer_decay(
        cast(nn.Module, whole),
        weight_decay,
        no_weight_decay_list=[*no_weight_decay, "*.bias"],
        layer_decay=layer_decay,
    )
