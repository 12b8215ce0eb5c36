"""The log of a run: plain lines on the screen, timestamped lines in a file; progress bars."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from dr_ovo.errors import UserError, log
from dr_ovo.tables import visible

SECONDS_BETWEEN_LINES = 60.0
ON_ANOTHER_SCREEN = "on_another_screen"  # a record's attribute: only for the log files


class _Screen(logging.Handler):
    """Prints without breaking a progress bar; warnings and errors go to stderr, no tracebacks. Of a
    run of several processes the first prints all, each other one what is more than information."""

    def __init__(self, rank: int) -> None:
        super().__init__(logging.WARNING if rank else logging.NOTSET)
        self.prefix = f"rank {rank}: " if rank else ""

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, ON_ANOTHER_SCREEN):
            return
        stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        try:
            tqdm.write(self.prefix + visible(record.getMessage(), lines=True), file=stream)
            stream.flush()
        except BrokenPipeError:
            # The reader (head, tee, a terminal) has exited; the training continues.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Lines(logging.Formatter):
    """A line with its time, control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), lines=True)


def start_log(rank: int = 0) -> None:
    """Send the toolkit's log to the screen. `rank`: this process's number among those of a run."""
    close_log()
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(_Screen(rank))


def log_to_file(path: Path) -> logging.Handler:
    """Append the log to a file as well. Raises UserError if it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(f"--log_file {path}: can't be written ({error.strerror}).") from None
    handler.setFormatter(_Lines("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    return handler


def stop_file(handler: logging.Handler) -> None:
    """Close a log file that `log_to_file` opened."""
    log.removeHandler(handler)
    handler.close()


def close_log() -> None:
    """Close everything that `start_log` and `log_to_file` opened."""
    for handler in list(log.handlers):
        stop_file(handler)


class Progress:
    """The progress of an epoch, or of another `part` of a run: a bar on a terminal, and one clean
    line per minute in the log.

    `before`: images that were done earlier, which don't count for the rate. `ranks`: processes that
    do as many at the same time, which the line counts, too.
    """

    def __init__(
        self, title: str, total: int, before: int = 0, ranks: int = 1, part: str = "in this epoch"
    ) -> None:
        self.title, self.total, self.done, self.before = title, total, before, before
        self.ranks, self.part = ranks, part
        self._start = self._last_line = self._last_note = time.monotonic()
        self._bar = tqdm(
            total=total,
            desc=title,
            unit="img",
            leave=False,
            initial=before,
            disable=not sys.stderr.isatty(),
        )

    def update(self, images: int, note: Callable[[], str]) -> None:
        """Add `images` to the count; `note` gives loss and rate, called at most once per second."""
        self.done += images
        now = time.monotonic()
        if now - self._last_note >= 1 and not self._bar.disable:
            self._last_note = now
            self._bar.set_postfix_str(note(), refresh=False)
        self._bar.update(images)
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            rate = (self.done - self.before) / (now - self._start)
            remaining = (self.total - self.done) / max(rate, 1e-9)
            log.info(
                "%s: %d/%d images, %s, %.1f images/s, %s left %s",
                self.title, self.ranks * self.done, self.ranks * self.total, note(),
                self.ranks * rate, duration(remaining), self.part,
            )  # fmt: skip

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


def duration(seconds: float) -> str:
    """A duration as `42 s`, `7 min` or `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
