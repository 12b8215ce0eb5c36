"""What Ctrl-C, SIGTERM and SIGHUP do: end the process at once while packages load, raise an error
later, and in a training wait for the end of an optimizer step.

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

INTERRUPTED, TERMINATED, HUNG_UP = 130, 143, 129
CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED, signal.SIGHUP: HUNG_UP}

_received: list[int] = []


class Terminated(BaseException):
    """SIGTERM or SIGHUP, raised in the main thread so that files are closed as after Ctrl-C."""


def end_at_once() -> None:
    """From now on Ctrl-C, SIGTERM and SIGHUP end the process with 130, 143 and 129, without a
    word."""
    _install(_end)


def raise_errors() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt; SIGTERM and SIGHUP raise Terminated."""
    _received.clear()
    _install(_raise)


def received_code() -> int | None:
    """The exit code of the signal that arrived since `raise_errors`; None without one."""
    return CODES[signal.Signals(_received[-1])] if _received else None


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """A block of imports, in which Ctrl-C, SIGTERM and SIGHUP end the process at once.

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


@contextlib.contextmanager
def not_for_children() -> Iterator[None]:
    """A block in which Ctrl-C and SIGHUP, which a terminal sends to every process of a command,
    don't reach the processes that this thread starts: this one ends them.

    That holds for the resource tracker of `multiprocessing`, too, which spares itself only Ctrl-C
    and SIGTERM. Where it is killed, a new one complains about each semaphore of the one before.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def deferred(grace: float) -> Iterator[Callable[[], bool]]:
    """Within the context a signal is only noted, for what runs there to ask for and to end in
    order; its error is raised when the context ends, after `grace` seconds at the latest, and at a
    second Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():  # signals arrive in the main one
        yield bool
        return
    before = {number: signal.getsignal(number) for number in (*CODES, signal.SIGALRM)}

    def note(number: int, frame: FrameType | None) -> None:
        if _received and number == signal.SIGINT:
            _raise(number, frame)
        if not _received:
            signal.setitimer(signal.ITIMER_REAL, grace)
        _received.append(number)

    def expire(_number: int, frame: FrameType | None) -> None:
        _raise(_received[-1], frame)

    signal.signal(signal.SIGALRM, expire)
    _install(note)
    try:
        yield lambda: bool(_received)
    finally:
        for number in CODES:  # before the timer, which one that arrives now would start again
            signal.signal(number, before[number])
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before[signal.SIGALRM])
    if _received:
        _raise(_received[-1], None)


def _install(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in CODES:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, or in a script's `&`
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(CODES[signal.Signals(number)])


def _raise(number: int, _frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated
