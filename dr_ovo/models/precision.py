"""The number format in which a network computes on a device."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Precision:
    """The number format of a run on `device`; `dtype` None is float32 throughout."""

    device: torch.device
    dtype: torch.dtype | None

    @property
    def name(self) -> str:
        """`float32`, `bfloat16` or `float16`."""
        return str(self.dtype or torch.float32).removeprefix("torch.")

    def autocast(self) -> AbstractContextManager[Any]:
        """The autocast context of the forward pass."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None)

    def scaler(self) -> torch.amp.GradScaler:
        """A gradient scaler, enabled for float16 only."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)
