"""Fewer images at a time: on a CPU, and when a GPU's memory is full."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from dr_ovo.errors import MachineError, log

T = TypeVar("T")
NO_ROOM = "STATUS_ALLOC_FAILED"  # of cuBLAS and cuDNN, whose errors have no class of their own
SMALLER = "Use a smaller --img_size or a smaller model, or free the GPU's memory."
AT_ONCE_ON_CPU = 4  # images; at least one for each thread


def at_once(device: torch.device) -> int | None:
    """How many images pass a network together in evaluation; None: all of a batch. On a CPU few are
    faster and take less memory (benchmarks/on_cpu.py)."""
    return None if device.type != "cpu" else max(AT_ONCE_ON_CPU, torch.get_num_threads())


class Halving:
    """Computes batches in parts of at most `limit` images, which halves when memory is full.

    The parts of a batch give what the whole does, up to rounding.
    """

    def __init__(self, what: str, limit: int | None = None) -> None:
        self.what, self.limit = what, limit

    def parts(self, count: int, compute: Callable[[slice], T]) -> list[T]:
        """`compute` of the rows of a batch of `count`, in order; it must leave nothing behind
        where it fails. Raises MachineError if not even one image fits."""
        found: list[T] = []
        done = 0
        while done < count:
            rows = slice(done, min(count, done + (self.limit or count)))
            full = ""
            try:
                found.append(compute(rows))
            except RuntimeError as error:
                full = if_full(error)
            if full:  # outside the except block, whose traceback holds tensors
                self._halve(rows.stop - rows.start, full)
            else:
                done = rows.stop
        return found

    def _halve(self, images: int, full: str) -> None:
        release_memory()
        if images == 1:
            raise MachineError(
                f"The GPU's memory is full with a single image {self.what} ({full}). {SMALLER}"
            )
        self.limit = images // 2
        log.warning(
            "The GPU's memory is full %s: %d images at a time from here on, instead of %d.",
            self.what, self.limit, images,
        )  # fmt: skip


def if_full(error: RuntimeError) -> str:
    """The first line of an error that says that a GPU's memory is full; raises any other again."""
    if not isinstance(error, torch.OutOfMemoryError) and NO_ROOM not in str(error):
        raise error
    return first_line(error)


def release_memory() -> None:
    """Gives back what torch keeps of a GPU's memory for reuse, in pieces that may not fit."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def first_line(error: BaseException) -> str:
    """The first line of an error's text."""
    return next(iter(str(error).splitlines()), type(error).__name__)
