"""`--ema_decay`: the exponential moving average of a branch's weights.

It averages out the noise of late steps (Polyak & Juditsky 1992). The average is evaluated on val
and saved in place of the current weights; training itself continues from the current ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """The exponential moving average of the parameters and BatchNorm statistics of `module`.

    The decay grows to `decay` over the first steps, as (1 + steps) / (10 + steps), so that even a
    short run forgets its initial weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        averaged = _averaged_tensors(module)
        self.values = {name: value.detach().clone() for name, value in averaged.items()}
        self._current, self._averages = [*averaged.values()], [*self.values.values()]

    @torch.no_grad()
    def update(self) -> None:
        """Adds the module's weights after an optimizer step."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._averages, self._current, 1 - decay)
        self.steps += 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the context, the module has the average, and this object the module's weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def state_dict(self) -> dict[str, Any]:
        """The state that `load_state_dict` restores."""
        return {"values": self.values, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state from `state_dict`."""
        for name, value in self.values.items():
            value.copy_(state["values"][name])
        self.steps = state["steps"]

    @torch.no_grad()
    def _exchange(self) -> None:
        for value, average in zip(self._current, self._averages, strict=True):
            current = value.clone()
            value.copy_(average)
            average.copy_(current)


def _averaged_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """The floating-point parameters and buffers of a module that its state dict has; integers, such
    as batch counts, are not averaged.

    They are the module's own, not the state dict's views of their memory: that is exchanged while
    the module is evaluated in another memory format.
    """
    parameters = module.named_parameters(remove_duplicate=False)
    own = dict([*parameters, *module.named_buffers(remove_duplicate=False)])
    return {
        name: own[name] for name, value in module.state_dict().items() if value.is_floating_point()
    }
