"""What Ctrl-C and SIGTERM do: end the process at once while packages load, raise an error later.

A KeyboardInterrupt inside a package that is being imported may be swallowed, turned into another
error or printed as a traceback; at that time there is nothing to be saved or closed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143
CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}

_received: list[int] = []


class Terminated(BaseException):
    """SIGTERM, raised in the main thread so that open files are closed as after Ctrl-C."""


def end_at_once() -> None:
    """From now on Ctrl-C and SIGTERM end the process with 130 and 143, without a word."""
    _install(_end)


def raise_errors() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, and SIGTERM raises Terminated."""
    _received.clear()
    _install(_raise)


def received_code() -> int | None:
    """The exit code of the signal that arrived since `raise_errors`; None without one."""
    return CODES[signal.Signals(_received[-1])] if _received else None


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """A block of imports, in which Ctrl-C and SIGTERM end the process at once.

    Only for the time before a command begins: processes that it started would be left behind.
    """
    if threading.current_thread() is not threading.main_thread():  # signals arrive in the main one
        yield
        return
    before = {number: signal.getsignal(number) for number in CODES}
    end_at_once()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _install(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in CODES:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, or in a script's `&`
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(CODES[signal.Signals(number)])


def _raise(number: int, _frame: FrameType | None) -> None:
    _received.append(number)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
