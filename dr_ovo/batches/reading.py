"""Reads batches: rows of the cache where there are some, decoded photographs where not; notes
damage and replaced files."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dr_ovo.batches.decoding_job import DecodedInput, DecodingJob
from dr_ovo.batches.row_source import RowSource
from dr_ovo.decoded.processes.decoder import CRASHED, Decoder, PoolClosed, Stalled
from dr_ovo.decoded.processes.watch import Watch
from dr_ovo.files import Written, last_written
from dr_ovo.photographs.damage import MAX_LISTED


@dataclass(frozen=True)
class Wanted:
    """Positions to `read` for a batch, and those only to `check`, as their pixels are at hand."""

    read: list[int]
    check: list[int]


@dataclass(frozen=True)
class Reading:
    """One photograph of a batch: its quality (NaN: not measured), and why it is no fundus
    photograph ("" if it is, or was not asked); or the `damage` that leaves it without pixels."""

    position: int
    quality: float = math.nan
    damage: str = ""
    no_fundus: str = ""


@dataclass(frozen=True)
class Batch:
    """Photographs that were read, the network inputs (B, size, size, 3) uint8 of those without
    damage, in the same order, and the positions of files that were `changed` since the run
    began."""

    readings: list[Reading]
    images: torch.Tensor
    changed: set[int]

    @property
    def intact(self) -> np.ndarray:
        """(B,) the positions that have pixels."""
        return np.array([one.position for one in self.readings if not one.damage], dtype=np.int64)


class Reader:
    """Reads the files `paths`, from any number of threads, as network inputs of `side` px.

    `written`: when each file was last written as its content was judged; files that changed since,
    and all if they were not `judged`, are judged when they are decoded. `source`: rows that make
    decoding unnecessary. `pinned`: batches lie in memory from which a GPU copies by itself.
    `timeout`: seconds within which a file must answer.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        side: int,
        decoder: Decoder[DecodingJob, DecodedInput],
        *,
        written: Sequence[Written | None],
        judged: bool,
        source: RowSource | None,
        pinned: bool,
        timeout: float,
    ) -> None:
        self._paths, self._side, self._decoder = paths, side, decoder
        self._written, self._judged, self._source = written, judged, source
        self._pinned = pinned
        self._stopped = threading.Event()
        self._timeout, self._watch = timeout, Watch(timeout)
        self._at: dict[int, tuple[Path, float]] = {}  # thread -> a file, since when (monotonic)

    def read(self, wanted: Wanted) -> Batch:
        """The photographs at the positions. Raises Stalled where a process gives no answer."""
        try:
            return self._read(wanted)
        finally:
            self._note(None)

    def _read(self, wanted: Wanted) -> Batch:
        shape = (len(wanted.read), self._side, self._side, 3)
        images = torch.empty(shape, dtype=torch.uint8, pin_memory=self._pinned)
        pixels = images.numpy()
        changed = {one for one in (*wanted.read, *wanted.check) if self._has_changed(one)}
        readings, undecoded = self._rows(wanted.read, pixels)
        self._note(None)  # what decodes is watched there, or noted
        self._decode(undecoded, readings, pixels, changed)
        kept = [slot for slot, reading in enumerate(readings) if not reading.damage]
        return Batch(readings, images if len(kept) == len(readings) else images[kept], changed)

    def _has_changed(self, position: int) -> bool:
        self._note(self._paths[position])
        return last_written(self._paths[position]) != self._written[position]

    def _rows(
        self, positions: Sequence[int], pixels: np.ndarray
    ) -> tuple[list[Reading], list[int]]:
        """What is known of each photograph, its pixels where they are in the cache; the slots of
        those that are not."""
        readings: list[Reading] = []
        undecoded = []
        for slot, position in enumerate(positions):
            self._note(self._paths[position])
            quality = self._read_row(position, pixels[slot])
            readings.append(Reading(position, math.nan if quality is None else quality))
            if quality is None:
                undecoded.append(slot)
        return readings, undecoded

    def _read_row(self, position: int, out: np.ndarray) -> float | None:
        """The quality of a photograph whose row is now in `out`; None where it has none."""
        if self._source is None:
            return None
        sha256, rows = self._source.contents[position], self._source.rows
        return rows.quality(sha256) if rows.read_into(sha256, out) else None

    def _decode(
        self, slots: list[int], readings: list[Reading], pixels: np.ndarray, changed: set[int]
    ) -> None:
        positions = [readings[slot].position for slot in slots]
        jobs = [DecodingJob(self._paths[p], self._judged and p not in changed) for p in positions]
        outcomes = self._decoder.do(jobs, self._note)
        for slot, position, outcome in zip(slots, positions, outcomes, strict=True):
            found = outcome or DecodedInput(None, damage=CRASHED)
            readings[slot] = Reading(position, found.quality, found.damage, found.no_fundus)
            if found.image is not None:
                pixels[slot] = found.image
                self._repair(position, found.image)

    def _repair(self, position: int, image: np.ndarray) -> None:
        if self._source is not None:
            self._source.rows.repair(self._source.contents[position], image)

    def _note(self, path: Path | None) -> None:
        """Notes what this thread is at. Raises PoolClosed once the reading was stopped."""
        thread = threading.get_ident()
        if path is None:
            self._at.pop(thread, None)
            return
        if self._stopped.is_set():
            raise PoolClosed("the reading was stopped")
        self._at[thread] = path, time.monotonic()

    def stop(self) -> None:
        """Ends what threads read, after the photograph that each is at."""
        self._stopped.set()

    def check(self) -> None:
        """Raises Stalled if one file has been read for too long. To be called every few seconds."""
        oldest = min(self._at.values(), key=lambda one: one[1], default=None)
        if self._watch.has_stalled(oldest) and oldest is not None:
            raise Stalled(oldest[0], self._timeout)


def written_meanwhile(paths: Sequence[Path]) -> str:
    """A warning about files that were written or replaced while they were in use."""
    shown = [str(path) for path in paths[:MAX_LISTED]]
    more = f"\n  ... and {len(paths) - len(shown)} more" if len(paths) > len(shown) else ""
    files = "1 file was" if len(paths) == 1 else f"{len(paths)} files were"
    listed = "".join(f"\n  {path}" for path in shown)
    return (
        f"{files} written or replaced while this ran; its figures may be of other pictures than "
        f"are there now:{listed}{more}\nLeave the photographs alone and run it anew."
    )
