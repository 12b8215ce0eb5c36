"""Ends an epoch between two of its windows: on a signal, or where a photograph can't be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from dr_ovo.batches.loader import BatchSource
from dr_ovo.distributed.ranks import ALONE, Ranks
from dr_ovo.errors import MachineError
from dr_ovo.training.data.loading import require_undamaged


class Interrupted(Exception):
    """The epoch ends here; every window that was begun is done. `cause`: the error to end with, or
    None where a signal asked for it."""

    def __init__(self, cause: MachineError | None = None) -> None:
        super().__init__(str(cause or "a signal"))
        self.cause = cause


class WatchedBatches:
    """The batches of a loader, as long as nobody has `asked` to stop.

    Of several ranks, the batches of one that is to stop end, and `agree` stops all at the same
    place.
    """

    def __init__(
        self, loader: BatchSource, asked: Callable[[], bool], ranks: Ranks = ALONE
    ) -> None:
        self.loader, self.asked, self.ranks = loader, asked, ranks
        self._interrupted: Interrupted | None = None

    def __call__(
        self, positions: np.ndarray, batch_size: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """The loader's `batches`. Raises Interrupted before the next one where the run is to stop,
        and after a photograph that became unreadable."""
        try:
            yield from self._until_asked(positions, batch_size)
        except Interrupted as interrupted:
            if self.ranks.is_alone:
                raise
            self._interrupted = interrupted

    def instead(self, loader: BatchSource) -> WatchedBatches:
        """The same of another loader."""
        return WatchedBatches(loader, self.asked, self.ranks)

    def require_not_asked(self) -> None:
        """Raises Interrupted where the run is to stop."""
        if self.asked():
            raise Interrupted

    def agree(self, due: bool = False) -> bool:
        """Whether something is `due` in one of the ranks, which all call this at the same place.
        Raises Interrupted in all where one is to stop."""
        asked = not self.ranks.is_alone and self.asked()
        stop, due = self.ranks.any(asked or self._interrupted is not None, due)
        if stop:
            raise self._interrupted or Interrupted()
        return due

    def _until_asked(
        self, positions: np.ndarray, batch_size: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        batches = iter(self.loader.batches(positions, batch_size))
        while not self.asked():
            try:
                batch = next(batches, None)
                require_undamaged(self.loader)
            except MachineError as error:
                # A signal may have ended the processes that decode, too.
                raise Interrupted(None if self.asked() else error) from None
            if batch is None:
                return
            yield batch
        raise Interrupted
