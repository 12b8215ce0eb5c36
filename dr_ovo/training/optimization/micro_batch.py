"""How many images a branch computes together, and what is tried when they don't fit."""

from __future__ import annotations

from collections.abc import Callable

from dr_ovo.errors import MachineError, log
from dr_ovo.full_memory import SMALLER, release_memory


class MicroBatch:
    """The size of the micro-batches of a network's branches, in windows of `window` images.

    `fixed` says why the size can't change ("" if it can). `checkpoint` switches gradient
    checkpointing on where it is off, and returns whether it has.
    """

    def __init__(
        self, size: int, window: int, fixed: str = "", checkpoint: Callable[[], bool] = bool
    ) -> None:
        self.size, self.window, self.fixed = size, window, fixed
        self._checkpoint = checkpoint
        self.on_change: Callable[[], object] = bool  # called when the size has changed

    def shrink(self, full: str, where: str) -> None:
        """Takes less memory after it was `full`, as an error says, in a window, which `where`
        names. Raises MachineError if no more can be saved."""
        release_memory()
        if self.size > 1 and not self.fixed:
            before, self.size = self.size, largest_divisor(self.window, self.size // 2)
            log.warning(
                "The GPU's memory is full %s (%s). From here on %d images at a time are computed, "
                "instead of %d; the steps are the same, up to rounding.",
                where, full, self.size, before,
            )  # fmt: skip
            self.on_change()
        elif self._checkpoint():
            log.warning(
                "The GPU's memory is full %s (%s). Gradient checkpointing is on from here on: "
                "slower, but with the same steps.",
                where, full,
            )  # fmt: skip
        else:
            fits = f"; {self.fixed}" if self.fixed else ""
            raise MachineError(
                f"The GPU's memory is full {where} ({full}), at a micro-batch size of "
                f"{self.size}{fits}. What is saved can be resumed on a GPU with more memory. "
                f"{SMALLER}"
            )


def divisors(window: int) -> list[int]:
    """The divisors of a window's size, the largest first: the sizes of equal micro-batches."""
    return [size for size in range(window, 0, -1) if window % size == 0]


def largest_divisor(window: int, limit: int) -> int:
    """The largest divisor of a window's size that is at most `limit`, or 1."""
    return next((size for size in divisors(window) if size <= limit), 1)
