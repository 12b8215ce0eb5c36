"""Tells a disk that gives no answer from one that is slow, and from a run that was suspended."""

from __future__ import annotations

import time

STALLED_SECONDS = 120.0  # without an answer to one file
LOOK_SECONDS = 5.0  # between two looks


class Watch:
    """Notices that nothing has moved for `timeout` seconds. It has to be looked at every few
    seconds: a longer time between two looks is one in which this process itself was stopped."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._seen: object = None
        self._waited = 0.0
        self._last = time.monotonic()

    @property
    def every(self) -> float:
        """Seconds between two looks."""
        return min(LOOK_SECONDS, self._timeout / 4)

    def has_stalled(self, progress: object) -> bool:
        """Whether `progress`, any value that changes with it, has been the same for so long."""
        now = time.monotonic()
        passed = min(now - self._last, 2 * self.every)
        self._waited = self._waited + passed if progress == self._seen else 0.0
        self._seen, self._last = progress, now
        return self._waited >= self._timeout
