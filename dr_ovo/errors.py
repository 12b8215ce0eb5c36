"""Exit codes, the errors that carry them, and the one place where they become a process's end."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

DONE, NOT_MET, WRONG_INPUT, LEAK, MACHINE_FAILED, UNFORESEEN = 0, 1, 2, 3, 4, 70
INTERRUPTED, TERMINATED = 130, 143

log = logging.getLogger("dr_ovo")
log.addHandler(logging.NullHandler())
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
# Paths that can't be what they are asked to be. Files that vanish are no mistake of the user's.
_PATH_ERRORS = (
    errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
)  # fmt: skip
# torch and its data loader have no class of their own for full memory, but say so.
_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "DataLoader worker (pid",
    "shared memory",
    "STATUS_ALLOC_FAILED",
)


class ToolkitError(Exception):
    """An end that was foreseen: its text says what was wrong, what was expected, what to do."""

    exit_code = UNFORESEEN


class UserError(ToolkitError):
    """Wrong input or setting; nothing was begun and nothing is lost."""

    exit_code = WRONG_INPUT


class LeakError(ToolkitError):
    """The dataset would make scores too good; nothing was begun."""

    exit_code = LEAK


class MachineError(ToolkitError):
    """The machine failed in mid-run; the last good state is kept."""

    exit_code = MACHINE_FAILED


class Terminated(BaseException):
    """SIGTERM, raised in the main thread so that open files are finished like after Ctrl-C."""


def _raise_terminated(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def run(command: Callable[[], int]) -> int:
    """The exit code of `command()`; foreseen errors become one message on stderr.

    An error that nobody foresaw is the only one with a traceback: in the log file, or in a file of
    its own where no log is open, with a single line on the screen.
    """
    signal.signal(signal.SIGTERM, _raise_terminated)
    logging.raiseExceptions = False  # else a log on a full disk prints a traceback a line
    try:
        return command()
    except ToolkitError as error:
        _say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    except BrokenPipeError:  # whoever read our output, such as head, has gone
        sys.stderr.close()
        return DONE
    except Exception as error:
        code, text = _judge(error)
        _say(f"error: {text}")
        return code


def _judge(error: Exception) -> tuple[int, str]:
    """The exit code of an error that is not the toolkit's own, and what to say of it."""
    number = error.errno if isinstance(error, OSError) else None
    path = error.filename if isinstance(error, OSError) else None
    if path and number in _PATH_ERRORS:
        return WRONG_INPUT, f"{path}: {os.strerror(number)}. Mend it, or give another path."
    if number in _DISK_ERRORS:
        return MACHINE_FAILED, f"the disk failed ({error}). Make room, then go on with --resume."
    told = isinstance(error, RuntimeError) and any(text in str(error) for text in _MEMORY_TEXTS)
    if told or isinstance(error, MemoryError) or number == errno.ENOMEM:
        return MACHINE_FAILED, (
            f"the machine's memory is full ({_first_line(error)}). Use a smaller --batch_size, "
            "--img_size or --num_workers; a training goes on with --resume."
        )
    return UNFORESEEN, f"unforeseen {_first_line(error)}. Traceback in {_keep(error)}"


def _first_line(error: Exception) -> str:
    """The kind of an error, and the first line of what it says."""
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def _say(text: str) -> None:
    """To the log where it is open (which prints too), else to stderr."""
    if any(not isinstance(handler, logging.NullHandler) for handler in log.handlers):
        log.error("%s", text)
    else:
        print(text, file=sys.stderr)


def _keep(error: Exception) -> Path:
    """Writes a traceback to the log's file, or to one in the temporary folder; that file."""
    text = "".join(traceback.format_exception(error))
    for handler in log.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.emit(logging.makeLogRecord({"msg": text}))
            return Path(handler.baseFilename)
    with tempfile.NamedTemporaryFile(
        "w", prefix="dr_ovo_error_", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    return Path(file.name)
