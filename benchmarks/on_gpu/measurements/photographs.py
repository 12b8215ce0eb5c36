"""No measurement: the photographs for all others."""

from __future__ import annotations

from benchmarks.on_gpu.rows import Emit
from benchmarks.on_gpu.setting import LARGE, SMALL, Setting


def measure(setting: Setting, _argument: str, _emit: Emit) -> None:
    """Draws both sets of photographs."""
    for name in (SMALL, LARGE):
        setting.dataset(name)
