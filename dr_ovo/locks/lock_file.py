"""A lock file: the kernel frees it with the process that holds it, and facts beside it say who that
is. On a file system without locks the facts alone keep a second process of this machine out."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from dr_ovo.errors import MachineError, UserError, disk_advice, log
from dr_ovo.locks.holder import Holder, State, read_facts, this_process, write_facts

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_FOR_FACTS = 1.0  # in which a process writes its facts that has just taken a lock
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
# The path can't be one of a lock file. Any other error is of a file system without locks.
BAD_PATH = (
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ESTALE,
)  # fmt: skip


class InUse(UserError):
    """Another process does what one process may do at a time; nothing was changed."""


@dataclass(frozen=True)
class Words:
    """What is said where another process holds a lock: `what` is locked, what the process `does`
    with it ("trains into it"), and what the user can do instead of waiting."""

    what: str
    does: str
    instead: str

    def refusal(self, holder: Holder | None) -> str:
        """The message, of the process where that is known."""
        return f"{self.held(holder)}. Wait until it has ended, or {self.instead}."

    def held(self, holder: Holder | None) -> str:
        """Who holds it, and since when."""
        if holder is None:
            return f"{self.what}: another process {self.does}; which one is not known"
        return f"{self.what}: {holder.said} {self.does}, since {holder.since}"


def facts_file(lock: Path) -> Path:
    """Where the facts on the holder of a lock file stand."""
    return lock.with_name(f"{lock.name}.json")


@contextmanager
def locked(file: Path, words: Words, *, wait: bool = False) -> Iterator[None]:
    """Holds a lock file, which is made, and removed at the end.

    Raises InUse where another process holds it, or waits for its end. Where no file can be made it
    is done without: what writes there says so. On a file system without locks that is said, and the
    facts decide: those of a process that runs refuse, and those of another machine, which nobody
    takes over; only to `wait`, it is done without. Raises MachineError where the disk is full, and
    OSError for a path that can't be one of a file.
    """
    lock, facts = FileLock(file, fallback_to_soft=False), facts_file(file)
    own = this_process()
    failed: OSError | NotImplementedError | None = None
    try:
        _take(lock, file, words, wait=wait)
    except (OSError, NotImplementedError) as error:
        failed = error
    taken, claimed = None, False
    try:
        if failed is None:
            taken, claimed = _identity(file), True
            _replace_facts(facts, own)
        else:
            claimed = _without_locks(failed, file, words, own, wait=wait)
        yield
    finally:
        if claimed and read_facts(facts) == own:
            _remove(facts)
        # Another process may have the file open, but whoever locks one without a name tries again.
        if taken is not None and _identity(file) == taken:
            _remove(file)
        lock.release()


def _take(lock: FileLock, file: Path, words: Words, *, wait: bool) -> None:
    """Locks the file. Raises InUse, and OSError or NotImplementedError where it can't be locked."""
    end = time.monotonic() + SECONDS_FOR_FACTS
    while True:
        try:
            lock.acquire(timeout=0)
            if _identity(file) is not None:
                return
            lock.release()  # it was removed between its opening and its locking
        except Timeout:
            holder = _current(facts_file(file))
            if holder is None and time.monotonic() < end:
                time.sleep(0.05)  # it may end, or write its facts, just now
                continue
            if not wait:
                raise InUse(words.refusal(holder)) from None
            log.info("%s: waiting until it has ended.", words.held(holder))
            lock.acquire(poll_interval=SECONDS_BETWEEN_LOOKS)
            return


def _current(facts: Path) -> Holder | None:
    """The process that holds a lock, by its facts; None where they are of one that has ended."""
    holder = read_facts(facts)
    return None if holder is None or holder.state is State.ENDED else holder


def _without_locks(
    error: OSError | NotImplementedError, file: Path, words: Words, own: Holder, *, wait: bool
) -> bool:
    """Where the file can't be locked: makes the facts this process's own, on a file system without
    locks, and returns whether they are; or says why it can't be done without."""
    number = getattr(error, "errno", None)
    if number in FULL:
        raise MachineError(
            f"{file} could not be written: {os.strerror(number)}. {disk_advice(number)}"
        ) from None
    if number in BAD_PATH:
        raise error
    if wait:
        return False
    if number in REFUSED:
        if os.path.lexists(file):
            _claim(facts_file(file), words, "The lock is another user's", own, keep=False)
        return False
    _say_no_locks(file.parent.stat().st_dev, str(file.parent))
    _remove(file)
    _claim(facts_file(file), words, "This file system has no locks", own, keep=True)
    return True


@cache
def _say_no_locks(_device: int, folder: str) -> None:
    """Once for each file system."""
    log.warning(
        "%s lies on a file system without locks: two runs on different machines can't be kept "
        "apart there. See to it that only one writes at a time.",
        folder,
    )


def _claim(facts: Path, words: Words, why: str, own: Holder, *, keep: bool) -> None:
    """Makes the facts this process's own, or, not to `keep`, looks that they are of no other one.
    Raises InUse where they may be of a process that runs."""
    end = time.monotonic() + SECONDS_FOR_FACTS
    while True:
        holder = read_facts(facts)
        if holder is not None and holder.state is State.ENDED:
            _remove(facts)
        elif os.path.lexists(facts):
            if holder is None and time.monotonic() < end:
                time.sleep(0.05)  # they are being written
                continue
            known = holder is not None and holder.state is State.RUNS
            instead = f"{why}: if that run is known to have ended, remove {facts}"
            raise InUse(words.refusal(holder) + f" {instead}." * (not known))
        if not keep:
            return
        with suppress(FileExistsError):
            write_facts(facts, own)
            return


def _replace_facts(facts: Path, own: Holder) -> None:
    """Writes the facts of the process that has the lock: those that are there are of one that has
    ended. They only inform, so a disk that refuses is no error here."""
    _remove(facts)
    with suppress(OSError):
        write_facts(facts, own)


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink()
