"""Strict loading: finite numbers of the right kind, under exactly a network's names and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dr_ovo.models.weights.containers import StateDict

# The only weights that a file may lack, where timm's own loading of the model is loose: its norm
# after the last stage, which then is the identity (Florence-2's DaViT).
MAY_BE_ABSENT = ("head.norm.weight", "head.norm.bias")


class MisfitError(RuntimeError):
    """Weights that are not a network's, under the names that timm gave them."""

    def __init__(self, text: str, state: StateDict) -> None:
        super().__init__(text)
        self.state = state


class WrongNumbersError(ValueError):
    """Weights whose numbers are not what the network computes with; the text says which."""


@contextmanager
def strict_loading() -> Iterator[None]:
    """Within it, a network takes exactly its weights, or raises MisfitError or WrongNumbersError.

    timm loads some models loosely (DLA, Inception v3, SigLIP's other poolings), whatever
    create_model is told: what a file lacks would stay random.
    """
    by_torch = nn.Module.load_state_dict

    def load(
        network: nn.Module, state: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        own = network.state_dict()
        _check_kinds(own, state)
        try:
            result = by_torch(network, state, strict=False, assign=assign)
        except RuntimeError as error:  # other shapes
            raise MisfitError(str(error), dict(state)) from None
        missing = set(result.missing_keys) - (set() if strict else set(MAY_BE_ABSENT))
        if missing or result.unexpected_keys:
            raise MisfitError("other names", dict(state))
        return result

    nn.Module.load_state_dict = load  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.load_state_dict = by_torch  # type: ignore[method-assign]


def _check_kinds(own: StateDict, state: Mapping[str, Any]) -> None:
    for name in (name for name in own if name in state):
        if own[name].is_floating_point() and not state[name].is_floating_point():
            raise WrongNumbersError(
                f"{name} holds whole numbers ({str(state[name].dtype).removeprefix('torch.')}), "
                "where the network has fractions: they are quantized. Take the weights from "
                "before that step."
            )


def plain_numbers(state: StateDict) -> tuple[StateDict, int]:
    """(the weights, fractions as float32; how many had another precision).

    Raises WrongNumbersError for weights that are not dense or not finite.
    """
    plain, converted = {}, 0
    for name, tensor in state.items():
        if tensor.is_quantized or tensor.layout != torch.strided or tensor.is_complex():
            raise WrongNumbersError(
                f"{name} is quantized, sparse or complex. Expected plain numbers: take the "
                "weights from before that step."
            )
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            converted += 1
            tensor = tensor.float()
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            found = "NaN" if bool(tensor.isnan().any()) else "infinite numbers"
            raise WrongNumbersError(
                f"{name} holds {found}, so these weights compute nothing. Take an earlier state "
                "of that training, or download the file again."
            )
        plain[name] = tensor
    return plain, converted
