"""The process that reads one torch file of another program, within limits of memory and of time.

It hands back a copy of the content in today's format. It loads torch only for a file that the scan
has let pass.
"""

from __future__ import annotations

import errno
import json
import math
import os
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from dr_ovo.exhaustion import refused_by_machine
from dr_ovo.leash import end_with, limit_memory
from dr_ovo.safe_files.pickle_scan import Rule
from dr_ovo.safe_files.problems import ExcessError, RefusedFileError
from dr_ovo.safe_files.rules import FOREIGN, WITH_OPTIONS
from dr_ovo.safe_files.torch_scan import scan_torch

REFUSED = 3  # exit code: instead of a copy, there is the reason
MACHINE, COPY = "machine", "copy"  # reasons that are none of the file
START_SECONDS = 0.5  # of the processor, which Python takes before


@dataclass(frozen=True)
class Order:
    """What is to be read, and within which limits.

    `copy`: the descriptor of an empty file, for a copy of the content, or for the reason why there
    is none: its kind, and what it says, as JSON. `longest`: bytes of that. `memory`: bytes beyond
    those that Python, and then torch, take. `seconds`: of the processor, besides those in which
    torch is loaded.
    """

    path: str
    options: bool
    checksums: bool
    copy: int
    longest: int
    memory: int
    seconds: float


def rules_for(options: bool) -> Mapping[str, Rule]:
    """What a file may build by name; those with `options` also hold a command line."""
    return WITH_OPTIONS if options else FOREIGN


def main() -> None:
    """Carries out the order that is the only argument, as JSON. Ends when standard input is closed,
    whatever it is at."""
    end_with(Connection(os.dup(0), writable=False))
    order = Order(**json.loads(sys.argv[1]))
    try:
        _carry_out(order)
    except RefusedFileError as error:
        _end_with_reason(order, type(error).__name__, error.made_from)
    except OSError as error:
        _end_with_reason(order, "OSError", error.errno or errno.EIO)


def _carry_out(order: Order) -> None:
    """Writes the copy. Raises RefusedFileError, and OSError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_FSIZE, order.longest)
    _limit(resource.RLIMIT_CPU, math.ceil(START_SECONDS + order.seconds))
    before = limit_memory(order.memory)
    file = os.open(order.path, os.O_RDONLY)
    path = Path(f"/dev/fd/{file}")  # torch refuses names that are not UTF-8
    rules = rules_for(order.options)
    try:
        zipped = scan_torch(path, rules, checksums=order.checksums)
        resource.setrlimit(resource.RLIMIT_AS, before)
        begin = time.process_time()

        import torch

        from dr_ovo.safe_files.torch_loading import load_scanned

        loading = time.process_time() - begin
        _limit(resource.RLIMIT_CPU, math.ceil(START_SECONDS + order.seconds + loading))
        limit_memory(order.memory + path.stat().st_size)
        torch.set_num_threads(1)
        content = load_scanned(path, rules, mmap=zipped)
        with os.fdopen(order.copy, "wb", closefd=False) as copy:
            try:
                torch.save(content, copy)
            except Exception as error:
                _end_if_copy_failed(order, error)
                raise
    except Exception as error:
        if not refused_by_machine(error):
            raise
        if resource.getrlimit(resource.RLIMIT_AS)[0] == before[0]:  # it is not our limit
            _end_with_reason(order, MACHINE, "")
        raise ExcessError(
            f"it takes more than {order.memory >> 20} MiB of memory besides its own size to be read"
        ) from None


def _limit(kind: int, limit: int) -> None:
    """Limits what this process takes, unless it has a lower limit."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit if hard < 0 else min(limit, hard), hard))


def _end_if_copy_failed(order: Order, error: BaseException) -> None:
    """Tells of the disk's error, which torch's writer hides behind its own."""
    step: BaseException | None = error
    while step is not None:
        if isinstance(step, OSError) and step.errno != errno.ENOMEM:
            _end_with_reason(order, COPY, step.errno or errno.EIO)
        step = step.__cause__ or step.__context__


def _end_with_reason(order: Order, kind: str, reason: str | int | list[str]) -> None:
    """Ends this process, with the reason in the place of the copy."""
    with suppress(OSError):
        os.ftruncate(order.copy, 0)
        os.pwrite(order.copy, json.dumps([kind, reason]).encode(), 0)
    os._exit(REFUSED)
