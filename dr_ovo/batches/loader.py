"""The image loader: batches of preprocessed photographs, read ahead by threads and processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import torch

from dr_ovo.batches.decoding_job import DecodedInput, Decoding, DecodingJob, decode_input
from dr_ovo.batches.on_device import Resident, copied_ahead, fits
from dr_ovo.batches.reading import Batch, Reader, Wanted
from dr_ovo.batches.row_source import RowSource
from dr_ovo.choices import MAX_MEGAPIXELS
from dr_ovo.decoded.processes.decoder import Decoder, Stalled, ThisProcess
from dr_ovo.decoded.processes.pool import DecodingPool
from dr_ovo.decoded.processes.watch import LOOK_SECONDS, STALLED_SECONDS
from dr_ovo.errors import MachineError, log
from dr_ovo.files import Written, last_written
from dr_ovo.parallel import Ahead, available_cores
from dr_ovo.photographs.preprocessing import Preprocessing

AHEAD_PER_THREAD = 2  # batches
ROW_THREADS = 2  # read rows, where nothing is to be decoded
CPU = torch.device("cpu")


class BatchSource(Protocol):
    """What batches come from: photographs, or what was computed of them before."""

    damaged: dict[int, str]  # position -> reason
    paths: Sequence[Path]

    def batches(
        self, positions: np.ndarray, batch_size: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Batches of positions (B,) and what is there (B, ...), in the order given."""


class ImageLoader:
    """Reads `paths` in the order requested from `batches`.

    `num_workers` processes decode (0: a thread of this process does), at most one per core. One
    loader serves training and validation. As a context manager it ends its processes on exit.
    `judged`: when each file was last written before its content was judged; files that changed
    since, and all without it, are judged when they are read, under the limit of `max_megapixels`.
    `source`: the rows of the cache, which threads read; the loader closes it. Batches come on
    `device`; with `several_passes` the images stay there, if it is a GPU with room for them.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        num_workers: int,
        *,
        with_quality: bool = False,
        with_gate: bool = False,
        max_megapixels: float = MAX_MEGAPIXELS,
        judged: Mapping[Path, Written | None] | None = None,
        source: RowSource | None = None,
        device: torch.device = CPU,
        several_passes: bool = False,
    ) -> None:
        self.paths = paths
        self.damaged: dict[int, str] = {}  # position -> reason, of files read so far
        self.quality: dict[int, float] = {}  # position -> score, of files read so far, if requested
        self.no_fundus: dict[int, str] = {}  # position -> why it is none, likewise
        self.changed: set[int] = set()  # positions of files that were written since this began
        known = judged or {}
        self.written = [known[path] if path in known else last_written(path) for path in paths]
        self._source, self._device = source, device
        self.decodes = source is None or not source.is_complete  # and does not only read rows
        workers = min(num_workers, available_cores(), len(paths))
        job = Decoding(preprocessing, with_quality, max_megapixels, with_gate)
        decode = partial(decode_input, job)
        self._decoder: Decoder[DecodingJob, DecodedInput] = ThisProcess(decode)
        if workers:
            self._decoder = DecodingPool(decode, workers, timeout=STALLED_SECONDS)
        self._reader = Reader(
            paths,
            preprocessing.size,
            self._decoder,
            written=self.written,
            judged=judged is not None,
            source=source,
            pinned=device.type == "cuda",
            timeout=STALLED_SECONDS,
        )
        threads = max(workers, 1) if self.decodes else ROW_THREADS
        self._ahead: Ahead[Wanted, Batch] = Ahead(
            self._reader.read, threads, AHEAD_PER_THREAD * threads
        )
        self._resident: Resident | None = None
        side = preprocessing.size
        if several_passes and source is not None and fits(len(paths), side, device):
            log.info("decoded photographs stay in the memory of %s", device)
            self._resident = Resident(len(paths), side, device)

    def batches(
        self, positions: np.ndarray, batch_size: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Batches of (positions (B,), images (B, size, size, 3) uint8), in the order given.

        A file that can't be read is left out and recorded in `damaged`; its batch is smaller.
        Raises MachineError where a file gives no answer.
        """
        parts = [positions[i : i + batch_size] for i in range(0, len(positions), batch_size)]
        resident = self._resident
        batches = self._read(self._wanted(part) for part in parts)
        for part, (batch, images) in zip(parts, copied_ahead(batches, self._device), strict=True):
            found = batch.intact
            if resident is not None:
                resident.add(found, images)
                found, images = resident.take(part)
            if len(found):
                yield found, images

    def _wanted(self, positions: np.ndarray) -> Wanted:
        if self._resident is None:
            return Wanted(positions.tolist(), [])
        missing = self._resident.missing(positions)
        there = positions[~np.isin(positions, missing)]
        return Wanted(missing.tolist(), there.tolist())

    def _read(self, parts: Iterator[Wanted]) -> Iterator[Batch]:
        try:
            every = min(LOOK_SECONDS, STALLED_SECONDS / 4)
            for batch in self._ahead.results(parts, self._reader.check, every):
                self._note(batch)
                yield batch
        except Stalled as stalled:
            raise MachineError(
                f"{stalled.path} gave no answer for {stalled.seconds:.0f} seconds: is a network "
                "disk gone? Restore it, then run the command again; a training continues with "
                "--resume."
            ) from None

    def _note(self, batch: Batch) -> None:
        for reading in batch.readings:
            if reading.damage:
                self.damaged[reading.position] = reading.damage
            else:
                self.quality[reading.position] = reading.quality
                if reading.no_fundus:
                    self.no_fundus[reading.position] = reading.no_fundus
        self.changed |= batch.changed

    def forget(self) -> None:
        """Forgets what is known of the files read so far."""
        self.damaged.clear()
        self.quality.clear()
        self.no_fundus.clear()
        self.changed.clear()

    def close(self) -> None:
        """Ends the processes and threads, whatever they are at."""
        self._reader.stop()
        self._decoder.close()
        self._ahead.close()
        if self._source is not None:
            self._source.rows.close()

    def __enter__(self) -> ImageLoader:
        return self

    def __exit__(
        self, _kind: object, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()
