"""Exit codes, the errors that carry them, and `run`, which turns any error into an exit code."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path

from dr_ovo.broken_imports import explain, too_old
from dr_ovo.exhaustion import first_line, refused_by_machine
from dr_ovo.signals import (
    INTERRUPTED,
    TERMINATED,
    Terminated,
    end_at_once,
    raise_errors,
    received_code,
)
from dr_ovo.tables import visible

DONE, NOT_MET, WRONG_INPUT, LEAK, MACHINE_FAILED, UNEXPECTED = 0, 1, 2, 3, 4, 70

log = logging.getLogger("dr_ovo")
log.addHandler(logging.NullHandler())
AGAIN = "run the command again"
# How the command that runs is continued once the disk is in order. Commands that keep what they
# have done say so: WAY_ON.set("continue with --resume").
WAY_ON: ContextVar[str] = ContextVar("WAY_ON", default=AGAIN)
# Errors of the disk -> what it takes; any other is answered with "Check the disk".
_DISK_REMEDIES = {
    errno.ENOSPC: "The disk is full: free some space",
    errno.EDQUOT: "Your share of the disk (quota) is used up: free some space",
    errno.EROFS: "The disk is read-only: make it writable, or name an output on another one",
    errno.EACCES: "It is not yours to write: change its rights, or name another output",
    errno.EPERM: "It is not yours to write: change its rights, or name another output",
    errno.ENOENT: "Its folder is gone: see whether it was removed, and whether its disk is there",
}
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
# Paths that can't be used as asked. ENOENT is not among them: a file that vanishes in mid-run is
# not the user's mistake.
_PATH_ERRORS = (
    errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
)  # fmt: skip

_RESERVE = 8 << 20  # bytes for the end of a command that has no more memory
_failed_threads: list[BaseException] = []  # what ended threads of libraries
_exhausted: list[BaseException] = []  # what the machine refused


class ToolkitError(Exception):
    """An expected error: its text says what was wrong, what was expected, what to do next."""

    exit_code = UNEXPECTED


class UserError(ToolkitError):
    """Wrong input or setting; nothing was started and nothing is lost."""

    exit_code = WRONG_INPUT


class LeakError(ToolkitError):
    """The dataset would inflate the scores; nothing was started."""

    exit_code = LEAK


class MachineError(ToolkitError):
    """The machine failed in mid-run; the last good state is kept."""

    exit_code = MACHINE_FAILED


def disk_advice(number: int | None, way_on: str | None = None) -> str:
    """What to do about an error of the disk, by its errno, and how the command goes on then."""
    return f"{_DISK_REMEDIES.get(number or 0, 'Check the disk')}, then {way_on or WAY_ON.get()}."


def run(command: Callable[[], int]) -> int:
    """Run `command` and return its exit code; expected errors become one message on stderr.

    Only an unexpected error has a traceback: in the log file, or in a temporary file if no log is
    open. The screen shows a single line.
    """
    WAY_ON.set(AGAIN)
    _escape_what_can_not_be_shown()
    logging.raiseExceptions = False  # else a log on a full disk prints a traceback per line
    before = threading.excepthook
    threading.excepthook = partial(_stop_with_thread, before)
    _failed_threads.clear()
    _exhausted.clear()
    try:
        return _code_of(command)
    finally:
        threading.excepthook = before


def code_to_end_with(code: int) -> int:
    """The exit code of this process, whose work is done: a signal ends it without a word. Ends it
    at once where the machine has refused memory or threads: what Python does at its end may need
    them, or wait for a thread that is no more."""
    end_at_once()
    if _exhausted:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    return code


def _code_of(command: Callable[[], int]) -> int:
    reserve = bytearray(_RESERVE)
    try:
        raise_errors()  # no sooner: only here they are caught
        if outdated := too_old():
            raise UserError(outdated)
        return command()
    except ToolkitError as error:
        _report(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated:
        return _code_of_thread() or received_code() or TERMINATED
    except BrokenPipeError:  # the reader of our output, such as head, has exited
        sys.stderr.close()
        return DONE
    except Exception as error:
        reserve.clear()
        # A library may turn a signal into an error of its own.
        stopped = _code_of_thread() or received_code()
        if stopped is not None:
            return stopped
        code, text = exit_code_and_text(error)
        _report(f"error: {text}")
        return code


def _stop_with_thread(
    otherwise: Callable[[threading.ExceptHookArgs], object], failure: threading.ExceptHookArgs
) -> None:
    """Stops the command, as SIGTERM does, where a thread of a library ends for want of memory or
    threads: what it would have done is waited for in vain."""
    error = failure.exc_value
    if error is None or refused_by_machine(error) is None:
        otherwise(failure)
        return
    _failed_threads.append(error)
    os.kill(os.getpid(), signal.SIGTERM)


def _code_of_thread() -> int | None:
    """Says why a thread ended the command, and returns the exit code; None where none has."""
    if not _failed_threads:
        return None
    code, text = exit_code_and_text(_failed_threads[0])
    _report(f"error: {text}")
    return code


def _escape_what_can_not_be_shown() -> None:
    """Characters that the terminal's encoding lacks are printed as escapes, not as an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def exit_code_and_text(error: BaseException) -> tuple[int, str]:
    """The exit code and message of an error; the traceback of an unexpected one is saved."""
    if isinstance(error, ToolkitError):
        return error.exit_code, str(error)
    number = error.errno if isinstance(error, OSError) else None
    path = error.filename if isinstance(error, OSError) else None
    if path and number in _PATH_ERRORS:
        return WRONG_INPUT, f"{path}: {os.strerror(number)}. Fix it, or give another path."
    if number in _DISK_ERRORS:
        return MACHINE_FAILED, f"the disk failed ({error}). {disk_advice(number)}"
    if refused := refused_by_machine(error):
        _exhausted.append(error)
        also = " A training continues with --resume." * (WAY_ON.get() == AGAIN)
        return MACHINE_FAILED, f"{refused}, then {WAY_ON.get()}.{also}"
    unusable = explain(error) if isinstance(error, Exception) else None
    if unusable:
        return WRONG_INPUT, unusable
    return UNEXPECTED, f"unexpected {first_line(error)}. Traceback in {_save_traceback(error)}"


def _report(text: str) -> None:
    """Send `text` to the log if it is open (which prints it too), else to stderr."""
    if any(not isinstance(handler, logging.NullHandler) for handler in log.handlers):
        log.error("%s", text)
    else:
        print(visible(text, lines=True), file=sys.stderr)


def _save_traceback(error: BaseException) -> Path:
    """Write the traceback to the log file, or to a temporary file; returns its path."""
    text = "".join(traceback.format_exception(error))
    for handler in log.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.emit(logging.makeLogRecord({"msg": text}))
            return Path(handler.baseFilename)
    with tempfile.NamedTemporaryFile(
        "w", prefix="dr_ovo_error_", suffix=".log", delete=False, encoding="utf-8",
        errors="backslashreplace",
    ) as file:  # fmt: skip
        file.write(text)
    return Path(file.name)
