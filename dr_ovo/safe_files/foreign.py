"""Reading torch files that other programs wrote, or torch before 1.6: each in a process of its own.

That process has limits of memory and of time, and writes the content into a file without a name, in
today's format; only that copy is read here, as any torch file. A file that claims to be of this
toolkit is held to its rules, and read here.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import msgspec

from dr_ovo.errors import AGAIN, MachineError, disk_advice
from dr_ovo.safe_files.foreign_process import COPY, REFUSED, Order, rules_for
from dr_ovo.safe_files.problems import ChecksumError, DamagedError, ExcessError, ObjectsError
from dr_ovo.safe_files.torch_loading import read_torch
from dr_ovo.safe_files.torch_scan import begins_with
from dr_ovo.signals import not_for_children

OURS_BEGIN = (b"toolkit", b"dr_ovo")  # in the first bytes of every checkpoint of this toolkit
MEMORY = 1 << 29  # bytes beyond those of the file, and those that torch takes
SECONDS = 8.0  # of the processor, besides those in which torch is loaded
BYTES_A_SECOND = 20e6  # for which there is more time; a slow machine reads 100e6
LONGER = 1 << 27  # bytes by which the copy may be longer than the file
STALLED_SECONDS = 120.0  # without an answer, besides what a slow disk takes for the file
DISK_BYTES_A_SECOND = 5e6
LOOK_SECONDS = 5.0
KILL_SECONDS = 5.0  # a process inside a read from a dead disk may not end at all
LARGE_FILES = Path("/var/tmp")  # on a disk, where /tmp often is memory
MAX_REASON = 1 << 16  # bytes
PROBLEMS: dict[str, Callable[[Any], Exception]] = {
    kind.__name__: kind for kind in (ChecksumError, DamagedError, ExcessError, ObjectsError)
}
CODE = (
    f"import sys; sys.path[0] = {str(Path(__file__).resolve().parents[2])!r}; "
    "from dr_ovo.safe_files.foreign_process import main; main()"
)


def read_foreign(path: Path, *, options: bool = False, checksums: bool = True) -> Any:
    """The content of a torch file that any program may have written, on the CPU: plain values and
    tensors, which stay on the disk until they are used.

    `options`: it may hold those of a command line (argparse.Namespace). `checksums`: those of all
    its parts are checked. Raises RefusedFileError; OSError where it can't be read; MachineError
    where there is no process for it, no room for the copy, or no answer.
    """
    if begins_with(path, *OURS_BEGIN):
        return read_torch(path, checksums=checksums, mmap=True)
    return read_apart(path, options=options, checksums=checksums)


def read_apart(path: Path, *, options: bool, checksums: bool) -> Any:
    """The same, in a process of its own, whatever the file claims."""
    size = path.stat().st_size
    with _file_without_name() as copy:
        order = Order(
            str(path), options, checksums, copy.fileno(), size + LONGER, MEMORY,
            SECONDS + size / BYTES_A_SECOND,
        )  # fmt: skip
        code = _exit_code(order, STALLED_SECONDS + size / DISK_BYTES_A_SECOND)
        if code != 0:
            raise _failure(order, code, copy)
        opened = Path(f"/dev/fd/{copy.fileno()}")
        return read_torch(opened, rules_for(options), checksums=False, mmap=True)


def _file_without_name() -> IO[bytes]:
    """An open file that is gone when no process uses it any more, however they end."""
    large = not os.environ.get("TMPDIR") and os.access(LARGE_FILES, os.W_OK)
    try:
        return tempfile.TemporaryFile(dir=LARGE_FILES if large else None)
    except OSError as error:
        raise _no_copy(error) from None


def _exit_code(order: Order, longest: float) -> int:
    """What the process ends with that carries out the order, in `longest` seconds, those not
    counted in which this process is stopped, too. Raises MachineError where it gives no answer."""
    process = None
    try:
        with not_for_children():
            process = _start(order)
        for _ in range(math.ceil(longest / LOOK_SECONDS)):
            try:
                return process.wait(min(LOOK_SECONDS, longest))
            except subprocess.TimeoutExpired:
                pass
    finally:
        if process is not None:
            _end(process)
    raise MachineError(
        f"Reading {order.path} gave no answer for {longest:.0f} s. Check the disk and the network "
        f"to it, then {AGAIN}."
    )


def _start(order: Order) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-c", CODE, json.dumps(asdict(order))],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=[order.copy], env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    except OSError as error:
        raise MachineError(
            f"No process can be started that reads {order.path} ({error.strerror}). End other "
            "programs, or raise the limits on processes (ulimit -u) and memory (ulimit -v), then "
            f"{AGAIN}."
        ) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    try:
        process.wait(KILL_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.stdin is not None:
            process.stdin.close()


def _failure(order: Order, code: int, copy: IO[bytes]) -> Exception:
    """Why there is no copy, by the code that the process has ended with, and the reason that it has
    left."""
    if code == -signal.SIGXCPU:
        return ExcessError(
            f"it takes more than {order.seconds:.0f} seconds of the processor to be read"
        )
    if code < 0 and code != -signal.SIGKILL:
        return DamagedError(f"reading it crashes ({signal.Signals(-code).name})")
    kind, reason = _reason(copy) if code == REFUSED else ("", "")
    if kind in PROBLEMS:
        return PROBLEMS[kind](reason)
    if isinstance(reason, int):
        error = OSError(reason, os.strerror(reason), order.path)
        return _no_copy(error) if kind == COPY else error
    how = "SIGKILL" if code < 0 else f"exit code {code}"
    return MachineError(
        f"The process that reads {order.path} was ended by the machine ({how}): its memory may be "
        "full, or a limit on it (ulimit -v) reached. End other programs, or raise the limit, then "
        f"{AGAIN}."
    )


def _reason(copy: IO[bytes]) -> tuple[str, str | int | list[str]]:
    """The kind of reason that the process has left, and what it says; "" for what it never says."""
    copy.seek(0)
    said = copy.read(MAX_REASON)
    try:
        return msgspec.json.decode(said, type=tuple[str, str | int | list[str]])
    except msgspec.DecodeError:
        return "", ""


def _no_copy(error: OSError) -> MachineError:
    return MachineError(
        "While a checkpoint of another program is read, its content is copied into the folder for "
        f"temporary files (TMPDIR names another one), which failed: {error.strerror}. "
        f"{disk_advice(error.errno)}"
    )
