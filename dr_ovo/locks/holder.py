"""Who holds a lock: the facts in a file beside it, and whether that process still runs."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import shlex
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

PROC = Path("/proc")  # only Linux has it
MACHINE_ID = Path("/etc/machine-id")
MAX_BYTES = 1 << 16  # of facts
LONGEST_COMMAND = 400  # characters of a command line that are kept
STARTED_FIELD = 19  # of /proc/PID/stat, counted from 0 behind the name


class State(Enum):
    """Whether the process that facts name still runs."""

    RUNS = "runs"
    ENDED = "ended"
    ELSEWHERE = "elsewhere"  # on another machine, or in another container: can't be told from here


@dataclass(frozen=True)
class Holder:
    """A process: its number, machine, user and command line, and since when it holds a lock, in
    local time. `started` is its start in the ticks of its kernel (-1: unknown); `machine`, `boot`
    and `space` tell machines of one name apart, and containers of one machine."""

    pid: int
    host: str
    user: str
    command: str
    since: str
    started: int
    machine: str
    boot: str
    space: str

    @property
    def said(self) -> str:
        """In words, without since when."""
        user = f"{self.user}: " * bool(self.user)
        return f"process {self.pid} on {self.host} ({user}{self.command})"

    @property
    def state(self) -> State:
        """Whether it still runs. A process that has its number, but started at another time, is
        another one."""
        here = this_process()
        if (self.host, self.machine) != (here.host, here.machine):
            return State.ELSEWHERE
        if self.boot != here.boot:  # the machine was started again; without a name of its own,
            return State.ENDED if self.machine else State.ELSEWHERE  # it may be another one
        if self.space != here.space:
            return State.ELSEWHERE
        return State.RUNS if _runs(self.pid, self.started) else State.ENDED


def this_process() -> Holder:
    """This process, holding a lock from now on."""
    user = ""
    with suppress(OSError, KeyError, ImportError):
        user = getpass.getuser()
    return Holder(
        pid=os.getpid(),
        host=socket.gethostname(),
        user=user,
        command=shlex.join(["python", *sys.argv])[:LONGEST_COMMAND],
        since=datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        started=_started(os.getpid()),
        machine=_machine(),
        boot=_text(PROC / "sys/kernel/random/boot_id"),
        space=_link(PROC / "self/ns/pid"),
    )


def read_facts(file: Path) -> Holder | None:
    """The process that the facts in a file name; None where there are none, or none that are whole.

    The file may have come with a folder from elsewhere: no link is followed, no pipe waited for.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            content = json.loads(opened.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return _holder(content)


def write_facts(file: Path, holder: Holder) -> None:
    """Writes facts to a file of its own. Raises FileExistsError where there is one, and OSError
    where the disk refuses, without leaving one."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(f"{json.dumps(asdict(holder), indent=2)}\n".encode())
    except OSError:
        file.unlink(missing_ok=True)
        raise


def _holder(content: Any) -> Holder | None:
    if not isinstance(content, dict):
        return None
    known: dict[str, Any] = {field.name: content.get(field.name) for field in fields(Holder)}
    numbers = ("pid", "started")
    whole = all(type(known[name]) is (int if name in numbers else str) for name in known)
    return Holder(**known) if whole and known["pid"] > 0 else None


def _runs(pid: int, started: int) -> bool:
    """Whether a process of this number, and of this start where both are known, runs here."""
    now = _started(pid)
    if now >= 0:
        return started in (now, -1)
    if _started(os.getpid()) >= 0:  # the system tells of processes, but not of this one
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # of another user
        return True
    except (OSError, OverflowError):
        return False
    return True


def _started(pid: int) -> int:
    """When a process started, in ticks of the kernel; -1 where it has ended, or is not known."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
        state, *rest = text.rpartition(b")")[2].split()  # the name may have blanks and brackets
        return -1 if state in (b"Z", b"X") else int(rest[STARTED_FIELD - 1])
    except (OSError, ValueError, IndexError):
        return -1


def _machine() -> str:
    """What tells this machine from others of its name, without giving away its id."""
    found = _text(MACHINE_ID)
    return hashlib.sha256(f"dr_ovo {found}".encode()).hexdigest()[:16] if found else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
