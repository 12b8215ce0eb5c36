"""Whether a resume state is one of this branch: names, shapes and kinds of all that is in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import torch

from dr_ovo.json_files import problem_of
from dr_ovo.results.schemas import Count

NOT_LEARNED = ("fused", "foreach")  # of a group of parameters: what the device decides


class _Plateau(msgspec.Struct):
    scale: Annotated[float, msgspec.Meta(gt=0, le=1)]
    best: float
    stale: Count


class _Within(msgspec.Struct):
    done: Count
    rate: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    loss_sums: Any
    skipped: list[Count]


class _State(msgspec.Struct):
    """What a state holds besides tensors."""

    branch: dict[str, Any]
    average: dict[str, Any] | None
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    plateau: _Plateau
    steps: Count
    skipped_in_a_row: Count = 0
    within: _Within | None = None


def problem_of_state(state: object, own: Mapping[str, Any], shapes: Sequence[torch.Size]) -> str:
    """What of a state from a file does not fit the branch whose state is `own`, with parameters of
    these shapes, in the order of its optimizer; "" for nothing."""
    if not isinstance(state, dict):
        return "it holds no state"
    for key in _State.__struct_fields__:
        if isinstance(state.get(key), torch.Tensor):  # msgspec may take it for an object
            return f"its {key} is a tensor"
    return problem_of(state, _State) or next(_problems(state, own, shapes), "")


def _problems(
    state: Mapping[str, Any], own: Mapping[str, Any], shapes: Sequence[torch.Size]
) -> Iterator[str]:
    yield from _other_tensors("branch", state["branch"], own["branch"])
    if (state["average"] is None) != (own["average"] is None):
        yield "it has an average of the weights, or has none"
    elif own["average"] is not None:
        if type(state["average"].get("steps")) is not int:
            yield f"its average has the steps {state['average'].get('steps')!r}"
        values = state["average"].get("values")
        yield from _other_tensors("average", values, own["average"]["values"])
    yield from _other_optimizer(state["optimizer"], own["optimizer"], shapes)
    within = state.get("within")
    if within is not None and not isinstance(within["loss_sums"], torch.Tensor):
        yield "its sums of the loss are no tensor"


def _other_tensors(what: str, found: object, own: Mapping[str, torch.Tensor]) -> Iterator[str]:
    if not isinstance(found, dict) or found.keys() != own.keys():
        yield f"its {what} has other parts"
        return
    for name, value in own.items():
        other = found[name]
        if not isinstance(other, torch.Tensor) or other.shape != value.shape:
            yield f"its {what} {name} has another shape than {tuple(value.shape)}"
        elif other.is_floating_point() != value.is_floating_point():
            yield f"its {what} {name} is of another kind"


def _other_optimizer(
    found: Mapping[str, Any], own: Mapping[str, Any], shapes: Sequence[torch.Size]
) -> Iterator[str]:
    groups, expected = found.get("param_groups"), own["param_groups"]
    moments = found.get("state")
    if not isinstance(groups, list) or not isinstance(moments, dict):
        yield "its optimizer has no groups of parameters, or no moments"
        return
    if [_parameters(group) for group in groups] != [group["params"] for group in expected]:
        yield "its optimizer has other groups of parameters"
        return
    for group, other in zip(groups, expected, strict=True):
        for name, value in other.items():
            if name not in NOT_LEARNED and not _is_like(group.get(name), value):
                yield f"its optimizer's {name} is {group.get(name)!r}"
    for number, moment in moments.items():
        if number not in range(len(shapes)) or not isinstance(moment, dict):
            yield f"its optimizer has moments of a parameter {number!r}"
            return
        for name, value in moment.items():
            single = name == "step" and isinstance(value, int | float | torch.Tensor)
            like = isinstance(value, torch.Tensor) and value.shape == shapes[number]
            if not (like or (single and torch.as_tensor(value).numel() == 1)):
                yield f"its optimizer's {name} of parameter {number} has another shape"


def _parameters(group: object) -> object:
    return group.get("params") if isinstance(group, dict) else None


def _is_like(found: object, own: object) -> bool:
    """Whether a setting of the optimizer is of the kind of `own`; a number is finite."""
    if isinstance(own, int | float) and not isinstance(own, bool):
        if not isinstance(found, int | float) or isinstance(found, bool):
            return False
        return math.isfinite(found)
    if isinstance(own, tuple):
        if not isinstance(found, tuple | list) or len(found) != len(own):
            return False
        return all(_is_like(*pair) for pair in zip(found, own, strict=True))
    return isinstance(found, type(own)) or found is None or own is None
