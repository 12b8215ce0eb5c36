"""Batches on their way to a GPU, and network inputs that stay there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from dr_ovo.batches.reading import Batch
from dr_ovo.device import to_device

SHARE_OF_FREE_MEMORY = 0.25  # of a GPU, that network inputs may take for good


def copied_ahead(
    batches: Iterable[Batch], device: torch.device
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Each batch and its images on the device. To a GPU the next ones are copied meanwhile, on a
    stream of their own."""
    if device.type != "cuda":
        for batch in batches:
            yield batch, batch.images.to(device)
        return
    stream = torch.cuda.Stream(device)
    waiting: tuple[Batch, torch.Tensor, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            images = batch.images.to(device, non_blocking=True)
            copied = stream.record_event()
        if waiting is not None:
            yield _taken(*waiting)
        waiting = batch, images, copied
    if waiting is not None:
        yield _taken(*waiting)


def _taken(
    batch: Batch, images: torch.Tensor, copied: torch.cuda.Event
) -> tuple[Batch, torch.Tensor]:
    """Has the computing stream, but not this process, wait for the copy."""
    computing = torch.cuda.current_stream(images.device)
    computing.wait_event(copied)
    images.record_stream(computing)
    return batch, images


def fits(count: int, side: int, device: torch.device) -> bool:
    """Whether the network inputs of so many photographs may stay in the device's own memory."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return count * side * side * 3 < SHARE_OF_FREE_MEMORY * free


class Resident:
    """The network inputs of `count` photographs in the memory of a device; each comes there when
    it is first read."""

    def __init__(self, count: int, side: int, device: torch.device) -> None:
        self._images = torch.empty((count, side, side, 3), dtype=torch.uint8, device=device)
        self._there = np.zeros(count, dtype=bool)

    def missing(self, positions: np.ndarray) -> np.ndarray:
        """(M,) those of the positions whose images are not there yet, each once."""
        return np.unique(positions[~self._there[positions]])

    def add(self, positions: np.ndarray, images: torch.Tensor) -> None:
        """Keeps images (M, size, size, 3) on the device."""
        if len(positions):
            self._images.index_copy_(0, self._rows(positions), images)
            self._there[positions] = True

    def take(self, positions: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        """Those of the positions whose images are there, and these."""
        there = positions[self._there[positions]]
        return there, self._images.index_select(0, self._rows(there))

    def _rows(self, positions: np.ndarray) -> torch.Tensor:
        return to_device(torch.from_numpy(positions), self._images.device)
