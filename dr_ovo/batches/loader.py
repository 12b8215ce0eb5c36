"""The image loader: batches of preprocessed photographs, decoded by worker processes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data._utils import signal_handling

from dr_ovo.batches.reading import Reader, Reading
from dr_ovo.choices import MAX_MEGAPIXELS
from dr_ovo.errors import MachineError
from dr_ovo.files import Written, last_written
from dr_ovo.parallel import available_cores
from dr_ovo.photographs.preprocessing import Preprocessing


class _Photographs(Dataset[Reading]):
    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __getitem__(self, position: int) -> Reading:
        return self.reader.read(position)

    def __len__(self) -> int:
        return len(self.reader.paths)


@dataclass(frozen=True)
class _Batch:
    """Positions (B,) and images (B, size, size, 3) uint8 of intact files, their quality; damage by
    position; positions of changed files."""

    positions: np.ndarray
    images: np.ndarray
    quality: list[float]
    damaged: dict[int, str]
    changed: list[int]


class _Batches(Sampler[list[int]]):
    """The positions of the next pass; set before each pass."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class ImageLoader:
    """Reads `paths` in the order requested from `batches`.

    One loader serves training and validation, so that at most `num_workers` processes exist. As a
    context manager it ends its workers on exit and raises MachineError if one of them died.
    `judged`: when each file was last written before its content was judged; files that changed
    since, and all without it, are judged when they are read, under the limit of `max_megapixels`.
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
    ) -> None:
        self.paths = paths
        self.damaged: dict[int, str] = {}  # position -> reason, of files read so far
        self.quality: dict[int, float] = {}  # position -> score, of files read so far, if requested
        self.changed: set[int] = set()  # positions of files that were written since this began
        workers = min(num_workers, available_cores(), len(paths))
        known = judged or {}
        self.written = [known[path] if path in known else last_written(path) for path in paths]
        was_judged = judged is not None
        reader = Reader(
            paths, preprocessing, with_quality, max_megapixels, was_judged, self.written
        )
        self._sampler = _Batches()
        self._watcher: threading.Thread | None = None
        self._loader = DataLoader(
            _Photographs(reader),
            batch_sampler=self._sampler,
            num_workers=workers,
            collate_fn=_collate,
            persistent_workers=workers > 0,
            worker_init_fn=_start_worker if workers else None,
        )

    def batches(
        self, positions: np.ndarray, batch_size: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Batches of (positions (B,), images (B, size, size, 3) uint8), in the order given.

        A file that can't be read is left out and recorded in `damaged`; its batch is smaller.
        """
        self._sampler.batches = [
            positions[i : i + batch_size].tolist() for i in range(0, len(positions), batch_size)
        ]
        loaded = iter(self._loader)
        self._watch_workers()
        for batch in _until_all_are_dead(loaded):
            self.damaged.update(batch.damaged)
            self.changed.update(batch.changed)
            self.quality.update(zip(batch.positions.tolist(), batch.quality, strict=True))
            if len(batch.positions):
                yield batch.positions, torch.from_numpy(batch.images)

    def _watch_workers(self) -> None:
        """Makes the death of a worker raise an error where the next batch is read.

        torch would raise it from a signal handler, wherever the main process is: inside a queue
        that would leave its lock held, and the run would hang instead of ending.
        """
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is None or self._watcher is not None:
            return
        signal_handling._remove_worker_pids(id(iterator))
        iterator._worker_pids_set = False
        # A worker may die while sending a batch. The rest never arrives, and the read only ends
        # once no process has the other end of the pipe open.
        self._watcher = threading.Thread(
            target=_end_all_with_first,
            args=(iterator._workers, iterator._worker_result_queue._writer),
            daemon=True,
        )
        self._watcher.start()

    def close(self) -> None:
        """Ends the worker processes."""
        self._end(interrupted=False)

    def _end(self, *, interrupted: bool) -> None:
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is None:
            return
        iterator._shutdown = True  # torch's own shutdown asks the workers, which may not answer
        for worker in iterator._workers:
            worker.kill()
        for worker in iterator._workers:
            worker.join()
        if self._watcher is not None:
            self._watcher.join()
        for queue in iterator._index_queues:
            queue.cancel_join_thread()
            if not interrupted:
                queue.close()
            elif queue._close is not None:
                queue._close.cancel()  # the interruption may have left its lock held
        self._loader._iterator = self._watcher = None

    def __enter__(self) -> ImageLoader:
        return self

    def __exit__(
        self, _kind: object, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end(interrupted=error is not None)
        if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
            raise MachineError(
                f"A process that reads images died ({error}): is the memory full? Run the command "
                "again with a smaller --num_workers (0: none); a training continues with --resume."
            ) from error


def _until_all_are_dead(loaded: Iterator[_Batch]) -> Iterator[_Batch]:
    """The same. torch knows the error of a closed pipe only once it has seen the worker's death."""
    try:
        yield from loaded
    except EOFError:
        raise RuntimeError("DataLoader worker closed its pipe") from None


def _end_all_with_first(workers: Sequence[BaseProcess], writer: Connection) -> None:
    """Waits until a worker ends, then kills the others and closes our end of the pipe."""
    wait([worker.sentinel for worker in workers])
    for worker in workers:
        worker.kill()
    writer.close()


def _collate(readings: list[Reading]) -> _Batch:
    """A batch of the images that could be read.

    Arrays, not tensors, so that they travel through a pipe: tensors would need /dev/shm, which is
    small in containers, and an open file each.
    """
    intact = [reading for reading in readings if reading.image is not None]
    return _Batch(
        np.array([reading.position for reading in intact], dtype=np.int64),
        np.array([reading.image for reading in intact], dtype=np.uint8),
        [reading.quality for reading in intact],
        {reading.position: reading.damage for reading in readings if reading.image is None},
        [reading.position for reading in readings if reading.changed],
    )


def _start_worker(_number: int) -> None:
    # The main process ends the workers; a Ctrl-C that also reached them would print a traceback
    # per worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(0)
