"""The time of an epoch, over a stop and its resumption."""

from __future__ import annotations

import time


class EpochClock:
    """The seconds of an epoch, of which a loaded state has trained for some already."""

    def __init__(self, before: float) -> None:
        self._start = time.monotonic() - before
        self._kept = time.monotonic()
        self._trained: float | None = None

    @property
    def seconds(self) -> float:
        """Since the epoch began, without the time between a stop and its resumption."""
        return time.monotonic() - self._start

    @property
    def trained(self) -> float:
        """The part of the seconds that was training, so far."""
        return self.seconds if self._trained is None else self._trained

    @property
    def since_kept(self) -> float:
        """Since the state was last kept, or this process began with the epoch."""
        return time.monotonic() - self._kept

    def kept(self) -> None:
        """Notes that the state has been kept."""
        self._kept = time.monotonic()

    def end_training(self) -> None:
        """Notes that what follows is validation."""
        self._trained = self.seconds
