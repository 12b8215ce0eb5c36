"""Loading weights into a headless timm model, strictly, and saying what was done to them."""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Any

import timm
import torch
from torch import nn

from dr_ovo.errors import UserError, log
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.models.weights.diagnosis import explain
from dr_ovo.models.weights.layouts import translate
from dr_ovo.models.weights.published import is_classifier
from dr_ovo.models.weights.strict import (
    MisfitError,
    WrongNumbersError,
    plain_numbers,
    strict_loading,
)
from dr_ovo.models.weights.translation import Translation, grouped

# What timm's filters and torch raise for the weights of another model.
MISFITS = (RuntimeError, LookupError, AttributeError, ValueError, TypeError, AssertionError)
NO_VALUES = re.compile(r"meta (device|tensor)")  # in an error of a filter that looks at values
TABLES = re.compile(r"pos_embed|rel_pos|position|pos_bias|coords")  # those that timm interpolates


def fit_weights(timm_name: str, weights: StateDict, **options: Any) -> nn.Module:
    """A headless timm model, (B, 3, S, S) -> (B, F), with exactly `weights`.

    Known layouts are translated to timm's names; timm's own filter renames and interpolates
    (position tables at another size). Raises UserError if a weight is missing, superfluous, of
    another shape, no plain or no finite number, and TypeError for `options` that the model does
    not have.
    """
    done, expected = _translated(timm_name, weights, **options)
    if not done.state:  # timm would load its own
        raise UserError(f"The weights for {timm_name} hold nothing but a classifier.")
    for line in done.lines():
        log.info("weights: %s", line)
    given = {name: tuple(tensor.shape) for name, tensor in done.state.items()}
    try:
        state, converted = plain_numbers(done.state)
        model = _load(timm_name, state, **options)
    except MISFITS as error:
        raise UserError(_reason(timm_name, done.state, expected, error)) from None
    if converted:
        log.info("weights: %d tensors of another precision converted to float32", converted)
    for line in _changes_by_timm(given, model.state_dict()):
        log.info("weights: %s", line)
    return model


def fits(timm_name: str, weights: StateDict) -> bool:
    """Whether the names and shapes are the model's; reads no values and takes no memory."""
    done, _ = _translated(timm_name, weights)
    shapes = {n: torch.empty(t.shape, dtype=t.dtype, device="meta") for n, t in done.state.items()}
    if not shapes:
        return False
    try:
        with torch.device("meta"):
            _load(timm_name, shapes)
    except MISFITS as error:
        return bool(NO_VALUES.search(str(error)))
    return True


def _translated(
    timm_name: str, weights: StateDict, **options: Any
) -> tuple[Translation, StateDict]:
    """(the weights under timm's names, without a classifier; the model's names and shapes)."""
    expected, children = _shape(timm_name, **options)
    kept = {name: t for name, t in weights.items() if not is_classifier(timm_name, name)}
    done = translate(kept, expected, children)
    done.dropped = [name for name in weights if name not in kept] + done.dropped
    return done, expected


@cache
def _shape(timm_name: str, **options: Any) -> tuple[StateDict, list[str]]:
    """(the model's weights on the meta device: names and shapes alone; the names of its parts)."""
    with torch.device("meta"):
        model = timm.create_model(timm_name, num_classes=0, **options)
    return model.state_dict(), [name for name, _ in model.named_children()]


def _load(timm_name: str, state: StateDict, **options: Any) -> nn.Module:
    """The model with `state`; timm's own filter has its say. Raises MISFITS."""
    overlay = {"state_dict": dict(state), "num_classes": 0}
    with warnings.catch_warnings(), strict_loading():
        warnings.simplefilter("ignore")  # of interpolation and the like: paths into packages
        return timm.create_model(
            timm_name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay, **options
        )


def _reason(timm_name: str, state: StateDict, expected: StateDict, error: Exception) -> str:
    if isinstance(error, WrongNumbersError):
        return f"The weights for {timm_name} can't be used: {error}"
    named = error.state if isinstance(error, MisfitError) else state
    why = explain(timm_name, state, expected, named, str(error))
    return f"The weights do not fit {timm_name}: {why}"


def _changes_by_timm(given: dict[str, tuple[int, ...]], loaded: StateDict) -> list[str]:
    """What timm's own filter did: names that it replaced, tables that it interpolated."""
    lines = []
    gone, new = [n for n in given if n not in loaded], [n for n in loaded if n not in given]
    other = {
        name: shape for name, shape in given.items()
        if name in loaded and shape != tuple(loaded[name].shape)
    }  # fmt: skip
    moved = [name for name in other if not TABLES.search(name)]  # Swin's downsampling
    if gone or moved:
        to = grouped(new + moved) or "nothing"
        lines.append(f"replaced by timm: {grouped(gone + moved)} -> {to}")
    for name, shape in other.items():
        if name not in moved:
            lines.append(f"interpolated: {name} {shape} -> {tuple(loaded[name].shape)}")
    return lines[:6] + [f"... and {len(lines) - 6} more interpolated"] * (len(lines) > 6)
