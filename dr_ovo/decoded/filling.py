"""A store that is being filled: positions for new rows, room for them, and entries in the index.

An entry is added when its row is on the disk, never before.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np

from dr_ovo.decoded.build_lock import build_lock
from dr_ovo.decoded.places import ROWS, make_store
from dr_ovo.decoded.row_decoding import Job, Outcome
from dr_ovo.decoded.row_file import RowFile, RowKind
from dr_ovo.decoded.row_index import Row, RowIndex, open_index, row_of

SAVE_EVERY = 200  # rows between two writes to the index,
SAVE_SECONDS = 10.0  # or this time, if it is shorter
ROWS_AHEAD = 64  # for which room on the disk is reserved at a time


class Filling:
    """Adds rows to the file and the index of a store. `refusal` is why no more can be added (a full
    disk, as a rule), "" where more can."""

    def __init__(self, rows: RowFile, index: RowIndex) -> None:
        self._rows = rows
        self._index = index
        self._known = index.rows(rows.count())
        self._unsaved: dict[str, Row] = {}
        self._saved_at = time.monotonic()
        self.refusal = index.refusal

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._known

    def __len__(self) -> int:
        return len(self._known)

    def refuse(self, reason: str) -> None:
        """Ends the filling for this reason, unless there is an earlier one."""
        self.refusal = self.refusal or reason

    def jobs(self, files: Mapping[str, Path]) -> Iterator[Job]:
        """A job for each content (sha256 -> a file that has it), as long as there is room."""
        used = {row.position for row in self._known.values()}
        free = (position for position in count() if position not in used)
        for left, (sha256, path) in zip(range(len(files), 0, -1), files.items(), strict=True):
            position = next(free)
            if not self.refusal:
                self._reserve(position, min(left, ROWS_AHEAD))
            if self.refusal:
                return
            yield Job(path, sha256, position)

    def _reserve(self, position: int, ahead: int) -> None:
        if position < self._rows.count():
            return
        for more in (ahead, 1):  # a disk may have room for one, and not for many
            try:
                self._rows.reserve(position + more)
                return
            except OSError as error:
                reason = str(error.strerror)
        self.refuse(reason)

    def write(self, job: Job, row: np.ndarray) -> None:
        """Writes the row of a job, where this process has made it."""
        try:
            self._rows.write(job.position, row)
        except OSError as error:
            self.take(job, Outcome(refusal=str(error.strerror)))
        else:
            self.take(job, Outcome(row_of(job.position, np.ascontiguousarray(row), math.nan)))

    def take(self, job: Job, outcome: Outcome) -> None:
        """Notes what a job has written."""
        if outcome.row is not None:
            self._unsaved[job.sha256] = outcome.row
        self.refuse(outcome.refusal)
        late = time.monotonic() - self._saved_at >= SAVE_SECONDS
        if len(self._unsaved) >= SAVE_EVERY or late:
            self.save()

    def save(self) -> None:
        """Adds to the index what is not in it yet."""
        self._saved_at = time.monotonic()
        new, self._unsaved = self._unsaved, {}
        try:
            self._rows.flush()
        except OSError as error:
            self.refuse(str(error.strerror))
            return
        self._index.add(new)
        self.refuse(self._index.refusal)
        if not self._index.refusal:
            self._known |= new

    def finish(self) -> None:
        """Saves, and gives back the room that no row took."""
        self.save()
        last = max((row.position for row in self._known.values()), default=-1)
        try:
            self._rows.shrink(last + 1)
        except OSError as error:
            self.refuse(str(error.strerror))


@contextmanager
def open_filling(store: Path, kind: RowKind) -> Iterator[Filling]:
    """The store, open to be filled, once no other process fills it.

    Raises OSError, MachineError or UserError where it can't be written.
    """
    make_store(store)
    with (
        build_lock(store),
        RowFile(store / ROWS, kind, create=True) as rows,
        open_index(store, write=True) as index,
    ):
        yield Filling(rows, index)
