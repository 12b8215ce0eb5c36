"""AdamW whose steps leave the weights alone where gradients are not finite, on every device.

On a GPU nothing of a step is read back, so that the next one need not wait: fused AdamW leaves out
the steps of which `found_inf` says so, and what was left out is counted there and read when an
epoch ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from dr_ovo.models.network import Branch

# In float16, where the gradient scaler leaves out some steps to find its scale, which begins at
# 2^16 and halves at each of them.
MAX_SKIPPED_IN_A_ROW = 30
MIN_SCALE = 2.0**-14


class GuardedOptimizer:
    """AdamW with a gradient scaler and clipping, for the parameters of one branch.

    `max_grad_norm` 0: no clipping. `layer_decay` below 1: smaller rates the further a layer is
    below the head. `fused`: the steps of a GPU; elsewhere they are of the kind
    `foreach`, which has the bits of a loop over the parameters.
    """

    def __init__(
        self,
        branch: Branch,
        *,
        rate: float,
        weight_decay: float,
        max_grad_norm: float,
        scaler: torch.amp.GradScaler,
        device: torch.device,
        fused: bool,
        layer_decay: float = 1.0,
    ) -> None:
        self.parameters = list(branch.parameters())
        self.max_norm = max_grad_norm or math.inf
        self.fused = fused
        groups = branch.parameter_groups(weight_decay, layer_decay)
        self.adamw = torch.optim.AdamW(groups, lr=rate, fused=fused, foreach=not fused)
        self.scaler, self.device = scaler, device
        self._in_a_row = torch.zeros((), device=device)  # over the ends of epochs, too
        self.begin_epoch()

    @property
    def shapes(self) -> list[torch.Size]:
        """Of the parameters, in the order in which the state numbers them."""
        return [one.shape for group in self.adamw.param_groups for one in group["params"]]

    def begin_epoch(self) -> None:
        """Forgets gradients, and the counts of the last epoch."""
        self._skipped, self._most_in_a_row = torch.zeros(2, device=self.device)
        self.forget_gradients()

    def forget_gradients(self) -> None:
        """Drops the gradients of a window that was not finished."""
        self.adamw.zero_grad(set_to_none=True)

    def counts(self) -> list[int]:
        """The steps left out in this epoch, and the most in a row, for the state inside an epoch;
        waits for the device."""
        return [int(self._skipped), int(self._most_in_a_row)]

    def restore_counts(self, counts: Sequence[int]) -> None:
        """Restores what `counts` returned."""
        self._skipped.fill_(counts[0])
        self._most_in_a_row.fill_(counts[1])

    def backward(self, loss: torch.Tensor) -> None:
        """Adds the gradients of `loss` ()."""
        self.scaler.scale(loss).backward()

    def begin_scale(self) -> None:
        """Has the gradient scaler make its scale, as the first `backward` does."""
        self.scaler.scale(torch.zeros((), device=self.device))

    def step(self, rate: float) -> None:
        """A step at `rate`, times each layer's scale, with the gradients gathered; none if one of
        them is not finite."""
        for group in self.adamw.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self.scaler.unscale_(self.adamw)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        found_inf = (~norm.isfinite()).float()
        if self.fused:
            self.adamw.found_inf = found_inf  # type: ignore[attr-defined]  # as GradScaler does
            self.adamw.step()
        elif not found_inf.item():
            self.adamw.step()
        self.scaler.update()
        self.adamw.zero_grad(set_to_none=True)
        self._skipped += found_inf
        self._in_a_row.add_(1).mul_(found_inf)
        torch.maximum(self._most_in_a_row, self._in_a_row, out=self._most_in_a_row)

    @property
    def skipped(self) -> int:
        """Steps left out in this epoch; waits for the device."""
        return int(self._skipped)

    def is_out_of_control(self) -> bool:
        """Whether more steps were left out than the occasional overflow that float16 has: too many
        in a row, or so many that the gradients' scale is next to nothing; waits for the device."""
        if not self.scaler.is_enabled():
            return int(self._most_in_a_row) > 0
        too_many = int(self._most_in_a_row) > MAX_SKIPPED_IN_A_ROW
        return too_many or self.scaler.get_scale() < MIN_SCALE

    def state_dict(self) -> dict[str, Any]:
        """The state of optimizer and scaler; the scaler's is empty unless in float16. Waits for the
        device."""
        return {
            "optimizer": self.adamw.state_dict(),
            "scaler": self.scaler.state_dict(),
            "skipped_in_a_row": int(self._in_a_row),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state from `state_dict`, of whatever device and precision."""
        optimizer = state["optimizer"]
        kind = {"fused": self.fused, "foreach": not self.fused}
        groups = [group | kind for group in optimizer["param_groups"]]
        self.adamw.load_state_dict({**optimizer, "param_groups": groups})
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self._in_a_row.fill_(
            state.get("skipped_in_a_row", 0)
        )  # which earlier versions did not keep
