"""Ends an epoch between two of its windows: on a signal, or where a photograph can't be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from dr_ovo.batches.loader import ImageLoader
from dr_ovo.errors import MachineError
from dr_ovo.training.data.loading import require_undamaged


class Interrupted(Exception):
    """The epoch ends here; every window that was begun is done. `cause`: the error to end with, or
    None where a signal asked for it."""

    def __init__(self, cause: MachineError | None = None) -> None:
        super().__init__(str(cause or "a signal"))
        self.cause = cause


class WatchedBatches:
    """The batches of a loader, as long as nobody has `asked` to stop."""

    def __init__(self, loader: ImageLoader, asked: Callable[[], bool]) -> None:
        self.loader, self.asked = loader, asked

    def __call__(
        self, positions: np.ndarray, batch_size: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """The loader's `batches`. Raises Interrupted before the next one where the run is to stop,
        and after a photograph that became unreadable."""
        batches = iter(self.loader.batches(positions, batch_size))
        while True:
            self.check()
            try:
                batch = next(batches, None)
                require_undamaged(self.loader)
            except MachineError as error:
                # A signal may have ended the processes that decode, too.
                raise Interrupted(None if self.asked() else error) from None
            if batch is None:
                return
            yield batch

    def check(self) -> None:
        """Raises Interrupted where the run is to stop."""
        if self.asked():
            raise Interrupted
