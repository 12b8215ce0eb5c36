"""The log of a run: plain lines to the screen and, with the time, to a file."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from dr_ovo.errors import UserError, log

SECONDS_BETWEEN_LINES = 60.0


class _Screen(logging.Handler):
    """Prints without tearing a progress bar; errors to stderr, tracebacks not at all."""

    def emit(self, record: logging.LogRecord) -> None:
        stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        try:
            tqdm.write(record.getMessage(), file=stream)
            stream.flush()
        except BrokenPipeError:
            # Whoever read along (head, tee, a terminal) is gone: the training is not.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def start_log() -> None:
    """Sends the toolkit's log to the screen."""
    close_log()
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(_Screen())


def log_to_file(path: Path) -> logging.Handler:
    """Sends the log to a file as well, appended. Raises UserError where it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--log_file {path}: can't be written ({error.strerror}).") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    return handler


def stop_file(handler: logging.Handler) -> None:
    """Closes a log file that `log_to_file` opened."""
    log.removeHandler(handler)
    handler.close()


def close_log() -> None:
    """Closes all that `start_log` and `log_to_file` opened."""
    for handler in list(log.handlers):
        stop_file(handler)


class Progress:
    """The progress of one epoch: a bar on a terminal, and a clean line a minute in the log."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0
        self._start = self._last_line = self._last_note = time.monotonic()
        self._bar = tqdm(
            total=total, desc=title, unit="img", leave=False, disable=not sys.stderr.isatty()
        )

    def update(self, images: int, note: Callable[[], str]) -> None:
        """Counts `images` more; `note` gives the loss and the rate, asked for once a second."""
        self.done += images
        now = time.monotonic()
        if now - self._last_note >= 1 and not self._bar.disable:
            self._last_note = now
            self._bar.set_postfix_str(note(), refresh=False)
        self._bar.update(images)
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            pace = self.done / (now - self._start)
            left = (self.total - self.done) / pace
            log.info(
                "%s: %d/%d images, %s, %.1f images/s, %s left in this epoch",
                self.title, self.done, self.total, note(), pace, duration(left),
            )  # fmt: skip

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.close()


def duration(seconds: float) -> str:
    """A time as `42 s`, `7 min` or `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
