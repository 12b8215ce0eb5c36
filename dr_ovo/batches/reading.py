"""Reads one photograph for a batch: its network input, its quality, damage, and replaced files."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dr_ovo.batches.row_source import RowSource
from dr_ovo.files import Written, last_written
from dr_ovo.photographs.content_check import judge
from dr_ovo.photographs.damage import MAX_LISTED, DamagedImage
from dr_ovo.photographs.image_decoding import decode_bytes, read_bytes
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.quality import decode_with_quality


@dataclass(frozen=True)
class Reading:
    """One photograph: `image` (size, size, 3) uint8, or the `damage` that it has instead; `quality`
    is NaN where it was not measured. `changed`: the file was written since the run began."""

    position: int
    image: np.ndarray | None
    quality: float = math.nan
    damage: str = ""
    changed: bool = False


@dataclass(frozen=True)
class Reader:
    """How photographs are read: network input by `preprocessing`, their quality on request.

    `judged`: the contents were judged before, as they were `written` then; what has changed since
    is judged under the limit of `max_megapixels`, as all files are that were not judged. `source`:
    rows that make decoding unnecessary.
    """

    paths: Sequence[Path]
    preprocessing: Preprocessing
    with_quality: bool
    max_megapixels: float
    judged: bool
    written: Sequence[Written | None]
    source: RowSource | None = None

    def read(self, position: int) -> Reading:
        """The photograph at a position. Damage is returned, not raised: the main process decides
        whether it ends the run."""
        path = self.paths[position]
        changed = last_written(path) != self.written[position]
        try:
            judged = self.judged and not changed
            image, quality = self._kept(position) or self._decode(
                position, read_bytes(path), judged=judged
            )
        except DamagedImage as error:
            return Reading(position, None, damage=str(error), changed=changed)
        return Reading(position, image, quality, changed=changed)

    def _kept(self, position: int) -> tuple[np.ndarray, float] | None:
        """The row of the file and its quality; None where it has none."""
        if self.source is None:
            return None
        sha256 = self.source.contents[position]
        image, quality = self.source.rows.get(sha256), self.source.rows.quality(sha256)
        return None if image is None or quality is None else (image, quality)

    def _decode(self, position: int, data: bytes, *, judged: bool) -> tuple[np.ndarray, float]:
        if not judged:
            verdict = judge(data, self.max_megapixels, probe=False)
            if verdict.damage:
                raise DamagedImage(verdict.damage)
        image, score = self._decode_whole(data)
        if self.source is not None:
            self.source.rows.repair(self.source.contents[position], image)
        return image, score

    def _decode_whole(self, data: bytes) -> tuple[np.ndarray, float]:
        if self.with_quality:
            image, quality = decode_with_quality(data, self.preprocessing)
            return image, quality.score
        return self.preprocessing.apply(decode_bytes(data, self.preprocessing.size)), math.nan


class Stalled(RuntimeError):
    """A file gave no answer in time; `position` is its own."""

    def __init__(self, position: int) -> None:
        super().__init__(f"no answer for position {position}")
        self.position = position


class ReadingHere:
    """Reads in the thread that asks, and tells the main thread what it is at."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._current: tuple[int, float] | None = None  # a position, since when (monotonic)

    def read(self, positions: Sequence[int]) -> list[Reading]:
        """The photographs at the positions."""
        found = []
        for position in positions:
            self._current = position, time.monotonic()
            found.append(self._reader.read(position))
        self._current = None
        return found

    def check(self, seconds: float) -> None:
        """Raises Stalled if one file has been read for so long."""
        if (current := self._current) and time.monotonic() - current[1] > seconds:
            raise Stalled(current[0])


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
