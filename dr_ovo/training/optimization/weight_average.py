"""A running average of a branch's weights: what late, noisy steps have in common.

Polyak & Juditsky 1992. It is measured on val and kept in place of the last weights; training itself
goes on from those.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """The exponential moving average of the parameters and statistics of `module`.

    The decay grows to `decay` over the first steps, as (1 + steps) / (10 + steps), so that a short
    run forgets where it began.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay, self.steps = module, decay, 0
        self.values = {name: value.clone() for name, value in self._live().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the module's weights after an optimizer step."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in self._live().items():
            self.values[name].lerp_(value, 1 - decay)
        self.steps += 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While it lasts, the module has the average and this object the module's own weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {"values": self.values, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        for name, value in self.values.items():
            value.copy_(state["values"][name])
        self.steps = state["steps"]

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, value in self._live().items():
            own = value.clone()
            value.copy_(self.values[name])
            self.values[name].copy_(own)

    def _live(self) -> dict[str, torch.Tensor]:
        """The module's own tensors; whole numbers, such as counts of batches, have no average."""
        state = self.module.state_dict()
        return {name: value for name, value in state.items() if value.is_floating_point()}
