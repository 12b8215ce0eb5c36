"""The image loader: batches of preprocessed photographs, read ahead by threads and processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import torch

from dr_ovo.batches.decoding_processes import DecodingProcesses, ProcessDied
from dr_ovo.batches.read_ahead import ReadAhead
from dr_ovo.batches.reading import Reader, Reading, ReadingHere, Stalled
from dr_ovo.batches.row_source import RowSource
from dr_ovo.choices import MAX_MEGAPIXELS
from dr_ovo.errors import MachineError
from dr_ovo.files import Written, last_written
from dr_ovo.parallel import available_cores
from dr_ovo.photographs.preprocessing import Preprocessing

STALL_SECONDS = 120.0  # without an answer to one file
CHECK_SECONDS = 5.0  # between two looks at what a thread is reading
AHEAD_PER_THREAD = 2  # batches


class ImageLoader:
    """Reads `paths` in the order requested from `batches`.

    `num_workers` processes decode (0: a thread of this process does), at most one per core. One
    loader serves training and validation. As a context manager it ends its processes on exit.
    `judged`: when each file was last written before its content was judged; files that changed
    since, and all without it, are judged when they are read, under the limit of `max_megapixels`.
    `source`: the rows of the cache, which threads read; the loader closes it.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        num_workers: int,
        *,
        with_quality: bool = False,
        max_megapixels: float = MAX_MEGAPIXELS,
        judged: Mapping[Path, Written | None] | None = None,
        source: RowSource | None = None,
    ) -> None:
        self.paths = paths
        self.damaged: dict[int, str] = {}  # position -> reason, of files read so far
        self.quality: dict[int, float] = {}  # position -> score, of files read so far, if requested
        self.changed: set[int] = set()  # positions of files that were written since this began
        known = judged or {}
        self.written = [known[path] if path in known else last_written(path) for path in paths]
        was_judged = judged is not None
        reader = Reader(
            paths, preprocessing, with_quality, max_megapixels, was_judged, self.written, source
        )
        self._source = source
        workers = 0 if source else min(num_workers, available_cores(), len(paths))
        self._here = ReadingHere(reader)
        self._processes = DecodingProcesses(reader, workers, STALL_SECONDS) if workers else None
        threads = max(workers, 1)
        read = self._processes.read if self._processes else self._here.read
        self._ahead = ReadAhead(read, threads, AHEAD_PER_THREAD * threads)

    def batches(
        self, positions: np.ndarray, batch_size: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Batches of (positions (B,), images (B, size, size, 3) uint8), in the order given.

        A file that can't be read is left out and recorded in `damaged`; its batch is smaller.
        Raises MachineError where a process died, and where a file gives no answer.
        """
        parts = [
            positions[i : i + batch_size].tolist() for i in range(0, len(positions), batch_size)
        ]
        for readings in self._results(parts):
            self._note(readings)
            intact = [reading for reading in readings if reading.image is not None]
            if intact:
                found = np.array([reading.position for reading in intact], dtype=np.int64)
                images = np.array([reading.image for reading in intact], dtype=np.uint8)
                yield found, torch.from_numpy(images)

    def _results(self, parts: list[list[int]]) -> Iterator[list[Reading]]:
        try:
            yield from self._ahead.results(
                parts, lambda: self._here.check(STALL_SECONDS), CHECK_SECONDS
            )
        except ProcessDied:
            raise MachineError(
                "A process that reads images died: is the memory full? Run the command again with "
                "a smaller --num_workers (0: none); a training continues with --resume."
            ) from None
        except Stalled as stalled:
            raise MachineError(
                f"{self.paths[stalled.position]} gave no answer for {STALL_SECONDS:.0f} seconds: "
                "is a network disk gone? Restore it, then run the command again; a training "
                "continues with --resume."
            ) from None

    def _note(self, readings: Sequence[Reading]) -> None:
        for reading in readings:
            if reading.image is None:
                self.damaged[reading.position] = reading.damage
            else:
                self.quality[reading.position] = reading.quality
            if reading.changed:
                self.changed.add(reading.position)

    def close(self) -> None:
        """Ends the processes and threads, whatever they are at."""
        self._ahead.close()
        if self._processes is not None:
            self._processes.close()
        if self._source is not None:
            self._source.rows.close()

    def __enter__(self) -> ImageLoader:
        return self

    def __exit__(
        self, _kind: object, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()
