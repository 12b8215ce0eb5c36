"""Finding the weights in what a file holds: under which entries they stand, the preferred first."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from dr_ovo.errors import UserError, log
from dr_ovo.models.weights.reading import EXPECTED, FLAG

StateDict = dict[str, torch.Tensor]

# Entries under which weights stand, the preferred first: averaged weights before the last ones.
ENTRIES = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "shadow", "teacher",
    "target_encoder", "state_dict", "model_state_dict", "model_state", "model", "module", "net",
    "network", "backbone", "backbone_state_dict", "encoder", "encoder_q",
    "online_network_state_dict", "student", "params", "weights", "classy_state_dict",
    "base_model", "trunk",
)  # fmt: skip
MOST = 50  # sets of weights in a file; no published one has ten
DEEPEST = 5  # entries inside each other, such as VISSL's classy_state_dict -> base_model -> ...
OPTIMIZER = re.compile(r"(\w+_)?optim(izer)?(_\w+|s)?|param_groups|(\w+_)?scaler|\w*scheduler\w*")


@dataclass(frozen=True)
class Found:
    """Weights in a file: the entries that lead to them, and names of what stands among them."""

    trail: tuple[str, ...]
    state: StateDict
    plain: list[str]

    def say(self, content: Any) -> None:
        """Logs from which entry the weights are, and what was not used."""
        if self.trail:
            others = [str(key) for key in content if key != self.trail[0]]
            passed = f" (not used: {', '.join(others[:8])})" if others else ""
            where = " > ".join(self.trail)
            log.info("weights: %s tensors of the entry '%s'%s", len(self.state), where, passed)
        if self.plain:
            log.info("weights: left out, as no tensors: %s", ", ".join(self.plain[:8]))


def find_weights(content: Any, path: object) -> list[Found]:
    """The weights by name in the content of the file `path`, the preferred first: those of
    ENTRIES, then of other entries.

    Raises UserError, with the entries that there are, if it holds none.
    """
    found = list(itertools.islice(_search(content, ()), MOST))
    if not found:
        raise UserError(f"{FLAG} {path}: holds no weights by name{_entries(content)}. {EXPECTED}")
    return found


def _search(content: Any, trail: tuple[str, ...]) -> Iterator[Found]:
    if not isinstance(content, dict) or len(trail) > DEEPEST:
        return
    for name in filter(content.__contains__, ENTRIES):
        yield from _search(content[name], (*trail, name))
    tensors = {
        name: tensor
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }
    # Weights of two layers or more have dotted names; numbers such as best_acc have none.
    if any("." in name for name in tensors):
        yield Found(trail, tensors, [str(name) for name in content if name not in tensors])
    for name, inner in content.items():
        if isinstance(name, str) and name not in ENTRIES and not OPTIMIZER.fullmatch(name):
            yield from _search(inner, (*trail, name))


def _entries(content: Any) -> str:
    """What the content holds instead, in words."""
    if not isinstance(content, dict):
        return f" (it is one {type(content).__name__})"
    if not content:
        return " (it is empty)"
    names = ", ".join(map(str, list(content)[:8]))
    listed = f" (its entries: {names}{', ...' if len(content) > 8 else ''})"
    if any(OPTIMIZER.fullmatch(str(name)) for name in content):
        return f", only the state of an optimizer{listed}: name the file with the network"
    return listed
