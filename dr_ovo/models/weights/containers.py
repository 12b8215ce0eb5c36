"""Finding the weights in what a file holds: under which entry they stand, and which is taken."""

from __future__ import annotations

from typing import Any

import torch

from dr_ovo.errors import UserError, log
from dr_ovo.models.weights.reading import EXPECTED, FLAG

StateDict = dict[str, torch.Tensor]

# Entries under which weights stand, the preferred first: averaged weights before the last ones.
ENTRIES = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "teacher",
    "target_encoder", "state_dict", "model_state_dict", "model_state", "model", "module", "net",
    "network", "backbone", "backbone_state_dict", "encoder", "encoder_q", "student", "params",
    "weights",
)  # fmt: skip
DEEPEST = 3  # entries inside each other, such as model -> state_dict


def find_state_dict(content: Any, path: object) -> StateDict:
    """The weights by name in the content of the file `path`; says from which entry they are.

    Raises UserError, with the entries that there are, if it holds none.
    """
    found = _search(content, ())
    if found is None:
        raise UserError(f"{FLAG} {path}: holds no weights by name{_entries(content)}. {EXPECTED}")
    trail, state, plain = found
    if trail:
        others = [str(key) for key in content if key != trail[0]]
        passed = f" (not used: {', '.join(others[:8])})" if others else ""
        log.info("weights: %s tensors of the entry '%s'%s", len(state), " > ".join(trail), passed)
    if plain:
        log.info("weights: left out, as no tensors: %s", ", ".join(plain[:8]))
    return state


def _search(content: Any, trail: tuple[str, ...]) -> tuple[tuple[str, ...], StateDict, list] | None:
    """(the entries that lead to the weights, the weights, names of what stands among them)."""
    if not isinstance(content, dict) or len(trail) > DEEPEST:
        return None
    for name in ENTRIES:
        inner = content.get(name)
        if isinstance(inner, dict) and (found := _search(inner, (*trail, name))):
            return found
    tensors = {
        name: tensor
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }
    # Weights of two layers or more have dotted names; numbers such as best_acc have none.
    if not any("." in name for name in tensors):
        return None
    return trail, tensors, [str(name) for name in content if name not in tensors]


def _entries(content: Any) -> str:
    """What the content holds instead, in words."""
    if not isinstance(content, dict):
        return f" (it is one {type(content).__name__})"
    if not content:
        return " (it is empty)"
    names = ", ".join(map(str, list(content)[:8]))
    return f" (its entries: {names}{', ...' if len(content) > 8 else ''})"
