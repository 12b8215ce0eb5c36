"""Loading weights into a headless timm model, strictly, and saying what was done to them."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import nn

from dr_ovo.errors import UserError, log
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.models.weights.diagnosis import explain
from dr_ovo.models.weights.layouts import grouped, translate
from dr_ovo.models.weights.sources import pretrained_cfg

# What timm's filters and torch raise for the weights of another model.
MISFITS = (RuntimeError, LookupError, AttributeError, ValueError, TypeError, AssertionError)


def fit_weights(timm_name: str, weights: StateDict, **options: Any) -> nn.Module:
    """A headless timm model, (B, 3, S, S) -> (B, F), with exactly `weights`.

    Known layouts are translated to timm's names; timm's own filter renames and interpolates
    (position tables at another size). Raises UserError if a weight is missing, superfluous or of
    another shape, and TypeError for `options` that the model does not have.
    """
    with torch.device("meta"):  # names and shapes alone
        shape = timm.create_model(timm_name, num_classes=0, **options)
    expected = shape.state_dict()
    kept = {name: t for name, t in weights.items() if not _is_classifier(timm_name, name)}
    done = translate(kept, expected, [name for name, _ in shape.named_children()])
    done.dropped = [name for name in weights if name not in kept] + done.dropped
    if not done.state:  # timm would load its own
        raise UserError(f"The weights for {timm_name} hold nothing but a classifier.")
    for line in done.lines():
        log.info("weights: %s", line)
    given = {name: tuple(tensor.shape) for name, tensor in done.state.items()}
    # With the classifier removed on both sides, timm loads strictly.
    overlay = {"state_dict": dict(done.state), "num_classes": 0}
    try:
        model = timm.create_model(
            timm_name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay, **options
        )
    except MISFITS as error:
        reason = explain(timm_name, done.state, expected, str(error))
        raise UserError(f"The weights do not fit {timm_name}: {reason}") from None
    for line in _changes_by_timm(given, model.state_dict()):
        log.info("weights: %s", line)
    return model


def _is_classifier(timm_name: str, name: str) -> bool:
    classifier = pretrained_cfg(timm_name).classifier or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return name.rpartition(".")[0] in heads


def _changes_by_timm(given: dict[str, tuple[int, ...]], loaded: StateDict) -> list[str]:
    """What timm's own filter did: names that it replaced, tables that it interpolated."""
    lines = []
    gone, new = [n for n in given if n not in loaded], [n for n in loaded if n not in given]
    if gone:
        lines.append(f"replaced by timm: {grouped(gone)} -> {grouped(new) or 'nothing'}")
    for name, tensor in loaded.items():
        before = given.get(name, tuple(tensor.shape))
        if before != tuple(tensor.shape):
            lines.append(f"interpolated: {name} {before} -> {tuple(tensor.shape)}")
    return lines[:6] + [f"... and {len(lines) - 6} more interpolated"] * (len(lines) > 6)
