"""Batches of preprocessed photographs, decoded by one set of worker processes for all uses."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data._utils import signal_handling

from dr_ovo.errors import MachineError
from dr_ovo.parallel import available_cores
from dr_ovo.photographs.image_decoding import DamagedImage
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.quality import load_with_quality

# Position, picture, its quality (NaN: unknown), why there is no picture.
Item = tuple[int, np.ndarray | None, float, str]
# Positions, pictures, their quality, the damaged.
Batch = tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, str]]


class _Photographs(Dataset[Item]):
    def __init__(
        self, paths: Sequence[Path], preprocessing: Preprocessing, with_quality: bool
    ) -> None:
        self.paths, self.preprocessing, self.with_quality = paths, preprocessing, with_quality

    def __getitem__(self, position: int) -> Item:
        # Returned, not raised: the main process decides whether one bad file ends the run.
        try:
            if not self.with_quality:
                return position, self.preprocessing.load(self.paths[position]), math.nan, ""
            image, quality = load_with_quality(self.paths[position], self.preprocessing)
        except DamagedImage as error:
            return position, None, math.nan, str(error)
        return position, image, quality.score, ""

    def __len__(self) -> int:
        return len(self.paths)


class _Batches(Sampler[list[int]]):
    """The positions of the pass that comes next; set before each pass."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class ImageLoader:
    """Reads `paths` in any order that `batches` is asked for.

    One object serves training and validation, so that never more than `num_workers` processes
    are alive. A context manager: the workers end with it, and it raises MachineError where one
    of them died.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        num_workers: int,
        *,
        with_quality: bool = False,
    ) -> None:
        self.paths = paths
        self.damaged: dict[int, str] = {}  # position -> reason, of files met so far
        self.quality: dict[int, float] = {}  # position -> score, likewise, where asked for
        workers = min(num_workers, available_cores(), len(paths))
        self._order = _Batches()
        self._watcher: threading.Thread | None = None
        self._loader = DataLoader(
            _Photographs(paths, preprocessing, with_quality),
            batch_sampler=self._order,
            num_workers=workers,
            collate_fn=_join,
            persistent_workers=workers > 0,
            worker_init_fn=_start_worker if workers else None,
        )

    def batches(
        self, positions: np.ndarray, batch_size: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Batches of (positions (B,), images (B, size, size, 3) uint8), in the order asked for.

        A file that can't be read is left out and noted in `damaged`; a batch may be smaller then.
        """
        self._order.batches = [
            positions[i : i + batch_size].tolist() for i in range(0, len(positions), batch_size)
        ]
        passes = iter(self._loader)
        self._guard()
        for numbers, images, quality, damaged in passes:
            self.damaged.update(damaged)
            self.quality.update(zip(numbers.tolist(), quality.tolist(), strict=True))
            if len(numbers):
                yield numbers, torch.from_numpy(images)

    def _guard(self) -> None:
        """Has the death of a worker end the pass by an error where the next batch is read.

        torch would raise it from a signal handler, wherever the main process is: inside a queue
        that leaves its lock taken, and the run waits for ever instead of ending.
        """
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is None or self._watcher is not None:
            return
        signal_handling._remove_worker_pids(id(iterator))
        iterator._worker_pids_set = False
        # A worker may die in the middle of a batch. The rest of it never comes; the read ends
        # only when nobody holds the other end of the pipe any more.
        self._watcher = threading.Thread(
            target=_end_together,
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
        iterator._shutdown = True  # torch's own way asks the workers, which may not answer
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
                queue._close.cancel()  # what was interrupted may have left its lock taken
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
                "again with a smaller --num_workers (0: none); a training goes on with --resume."
            ) from error


def _end_together(workers: Sequence[BaseProcess], writer: Connection) -> None:
    """Waits until one of the workers ends, then ends the others and closes our end of the pipe."""
    wait([worker.sentinel for worker in workers])
    for worker in workers:
        worker.kill()
    writer.close()


def _join(items: list[Item]) -> Batch:
    """A batch of the pictures that could be read.

    Arrays, not tensors: they come through a pipe. Tensors would need /dev/shm, which is small in
    a container, and an open file each.
    """
    good = [(number, image, quality) for number, image, quality, _ in items if image is not None]
    return (
        np.array([number for number, _, _ in good], dtype=np.int64),
        np.array([image for _, image, _ in good], dtype=np.uint8),
        np.array([quality for _, _, quality in good], dtype=np.float64),
        {number: reason for number, image, _, reason in items if image is None},
    )


def _start_worker(_number: int) -> None:
    # The main process ends the workers itself; a Ctrl-C that reached them too would print
    # a traceback for each.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(0)
