"""Exit codes, the errors that carry them, and `run`, which turns any error into an exit code."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

from dr_ovo.broken_imports import explain, too_old
from dr_ovo.signals import INTERRUPTED, TERMINATED, Terminated, raise_errors, received_code
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
}
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
# Paths that can't be used as asked. ENOENT is not among them: a file that vanishes in mid-run is
# not the user's mistake.
_PATH_ERRORS = (
    errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
)  # fmt: skip
# torch has no exception class for full memory; only the text says so.
_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "shared memory",
    "STATUS_ALLOC_FAILED",
)


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
    raise_errors()
    logging.raiseExceptions = False  # else a log on a full disk prints a traceback per line
    try:
        if outdated := too_old():
            raise UserError(outdated)
        return command()
    except ToolkitError as error:
        _report(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated:
        return received_code() or TERMINATED
    except BrokenPipeError:  # the reader of our output, such as head, has exited
        sys.stderr.close()
        return DONE
    except Exception as error:
        stopped = received_code()  # a library may turn a signal into an error of its own
        if stopped is not None:
            return stopped
        code, text = exit_code_and_text(error)
        _report(f"error: {text}")
        return code


def _escape_what_can_not_be_shown() -> None:
    """Characters that the terminal's encoding lacks are printed as escapes, not as an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def exit_code_and_text(error: Exception) -> tuple[int, str]:
    """The exit code and message of an error; the traceback of an unexpected one is saved."""
    if isinstance(error, ToolkitError):
        return error.exit_code, str(error)
    number = error.errno if isinstance(error, OSError) else None
    path = error.filename if isinstance(error, OSError) else None
    if path and number in _PATH_ERRORS:
        return WRONG_INPUT, f"{path}: {os.strerror(number)}. Fix it, or give another path."
    if number in _DISK_ERRORS:
        return MACHINE_FAILED, f"the disk failed ({error}). {disk_advice(number)}"
    out_of_memory = isinstance(error, RuntimeError) and any(
        text in str(error) for text in _MEMORY_TEXTS
    )
    if out_of_memory or isinstance(error, MemoryError) or number == errno.ENOMEM:
        return MACHINE_FAILED, (
            f"the machine's memory is full ({_first_line(error)}). Use a smaller --img_size, "
            "or fewer --num_workers; a training continues with --resume."
        )
    unusable = explain(error)
    if unusable:
        return WRONG_INPUT, unusable
    return UNEXPECTED, f"unexpected {_first_line(error)}. Traceback in {_save_traceback(error)}"


def _first_line(error: Exception) -> str:
    """The class of an error and the first line of its message."""
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def _report(text: str) -> None:
    """Send `text` to the log if it is open (which prints it too), else to stderr."""
    if any(not isinstance(handler, logging.NullHandler) for handler in log.handlers):
        log.error("%s", text)
    else:
        print(visible(text, lines=True), file=sys.stderr)


def _save_traceback(error: Exception) -> Path:
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
