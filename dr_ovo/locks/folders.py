"""Which work in a folder one process does at a time, and the locks on it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.errors import UserError
from dr_ovo.locks.lock_file import Words, facts_file, locked

SECONDS_TO_TRY = 5.0  # in which another process may remove the folder that it has just made


@dataclass(frozen=True)
class Work:
    """What one process at a time does in a folder: the name of the lock file there, and the words
    for it, see Words."""

    lock: str
    does: str
    instead: str


TRAINING = Work(".training.lock", "trains into it", "give another --output_dir")
DIVISION = Work(".folds.lock", "divides it into folds or puts these together", "end that process")
EVALUATION = Work(".evaluation.lock", "evaluates it", "end that process")
PREPARATION = Work(".preparation.lock", "fills it", "choose a new folder")
MAPS = Work(".maps.lock", "writes maps into it", "give another --output")
TRIALS = Work(".trials.lock", "trains into it", "give another --output")


def is_lock(name: str) -> bool:
    """Whether a file of this name in a folder is a lock on it, or the facts of one."""
    works = (TRAINING, DIVISION, EVALUATION, PREPARATION, MAPS, TRIALS)
    return any(name in (work.lock, facts_file(Path(work.lock)).name) for work in works)


@contextmanager
def only_writer(
    folder: Path, work: Work, *, wait: bool = False, make: bool = True
) -> Iterator[None]:
    """Within the context no other process does this work in the folder.

    The folder is made (or, not to `make`, left missing and unlocked), and removed again where
    nothing is written into it. Where it can't be made, what writes into it says so. Raises InUse
    where another process is at work, or waits for it; see `locked`.
    """
    words = Words(str(folder), work.does, work.instead)
    with ExitStack() as held:
        end = time.monotonic() + SECONDS_TO_TRY
        while make or folder.is_dir():
            try:
                held.callback(_remove_empty, _make(folder))
            except OSError:
                break
            lock = folder.resolve() / work.lock
            try:
                held.enter_context(locked(lock, words, wait=wait))
                break
            except OSError as error:
                gone = isinstance(error, FileNotFoundError)  # by another process that had made it
                if not gone or time.monotonic() > end:
                    raise UserError(
                        f"{lock} can't be locked: {error.strerror}. Remove what is there."
                    ) from None
        yield


@contextmanager
def joint_writers(folders: Iterable[Path]) -> Iterator[None]:
    """Within the context no other process writes what the members of `--folds` share in a folder.

    Waits for another one that does; raises InUse where a network is trained in the folder itself.
    """
    with ExitStack() as held:
        for folder in sorted(folders, key=Path.resolve):  # else two could wait for each other
            held.enter_context(only_writer(folder, DIVISION, wait=True))
            held.enter_context(only_writer(folder, TRAINING))
        yield


def _make(folder: Path) -> list[Path]:
    """Makes a folder; those that were missing, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folders: list[Path]) -> None:
    """Removes folders, the innermost first, as far as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
