"""How fast photographs become tensors: 1024 px JPEGs to (3, 224, 224) float32, one thread each way.

Three ways: as users would write it (PIL, torchvision's Resize, CLAHE, ToTensor, one by one); ours
without a cache, as every epoch reads with `--cache off`; ours from the cache. All end with float32
in [0, 1]. The time in which the cache is filled, once, is noted: it measures quality, too. So are
the pieces of a photograph's time, and the plain way with CLAHE before resizing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.photographs import GRADES, Size, draw_photographs
from benchmarks.plain_training import PlainPhotographs, clahe
from benchmarks.results import Result
from benchmarks.timing import Spread, Times, interleaved, torch_threads
from dr_ovo.batches.augmentation import to_unit_range
from dr_ovo.batches.loader import ImageLoader
from dr_ovo.batches.row_source import RowSource
from dr_ovo.copies.content_hashes import content_hashes
from dr_ovo.decoded.build import build
from dr_ovo.decoded.decoded_rows import open_rows
from dr_ovo.files import last_written
from dr_ovo.photographs.disc import crop_to_disc, pad_to_square
from dr_ovo.photographs.image_decoding import decode_bytes
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.preprocessing_steps import Clahe, equalise

BATCH = 8
EIGHTH = cv2.IMREAD_REDUCED_COLOR_8  # little but the decoding of entropy is left
PIECES = 20  # photographs of which the pieces are timed
COLD_GOAL, CACHED_GOAL = 3.0, 25.0


QUICK = Size(per_grade=8, side=1024, img_size=224, rounds=3)
FULL = Size(per_grade=40, side=1024, img_size=224, rounds=7)


def measure(size: Size, folder: Path) -> list[Result]:
    """The plain way's time over ours, cold and cached."""
    draw_photographs(folder / "data", {"train": size.per_grade}, size.side)
    paths = sorted((folder / "data").rglob("*.jpeg"))
    ways = Ways(paths, Preprocessing(size.img_size), folder)
    with torch_threads(1):
        times = interleaved(
            {"plain": ways.plain, "filling": ways.fill, "cold": ways.cold, "cached": ways.cached},
            size.rounds,
        )
        pieces = piece_milliseconds(paths[:PIECES], ways.preprocessing)
    ways.close()
    note = f"{_note(times, GRADES * size.per_grade)}; pieces: {pieces}"
    what = "time of PIL, torchvision and CLAHE / ours, one core each"
    return [
        Result("data_path_cold", f"{what}, no cache", times.cpu_ratio("plain", "cold"), COLD_GOAL,
               at_least=True, note=note),
        Result("data_path_cached", f"{what}, cached", times.cpu_ratio("plain", "cached"),
               CACHED_GOAL, at_least=True, note=_filling(times)),
    ]  # fmt: skip


class Ways:
    """The ways to read the same photographs, each in this process and thread by thread alike."""

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing, folder: Path) -> None:
        self.paths, self.preprocessing = paths, preprocessing
        self.photographs = PlainPhotographs(paths, [0] * len(paths), preprocessing.size)
        self.filled, self.filling = folder / "filled", folder / "filling"
        contents = content_hashes(paths, None)
        build(contents, preprocessing, self.filled, 0)
        source = RowSource(
            open_rows(self.filled, preprocessing), tuple(contents[path] for path in paths)
        )
        judged = {path: last_written(path) for path in paths}
        self._cold = ImageLoader(paths, preprocessing, 0, judged=judged)
        self._cached = ImageLoader(paths, preprocessing, 0, judged=judged, source=source)

    def plain(self) -> None:
        """PIL, torchvision and CLAHE."""
        for position in range(len(self.photographs)):
            self.photographs[position]

    def fill(self) -> None:
        """What the first training does once: hashes all files and fills a new cache."""
        shutil.rmtree(self.filling, ignore_errors=True)
        build(content_hashes(self.paths, None), self.preprocessing, self.filling, 0)

    def cold(self) -> None:
        """Ours without a cache."""
        self._read(self._cold)

    def cached(self) -> None:
        """Ours from the cache."""
        self._read(self._cached)

    def _read(self, loader: ImageLoader) -> None:
        for _, images in loader.batches(np.arange(len(self.paths)), BATCH):
            to_unit_range(images, torch.device("cpu"))

    def close(self) -> None:
        """Ends the threads that read."""
        self._cold.close()
        self._cached.close()


def piece_milliseconds(paths: Sequence[Path], preprocessing: Preprocessing) -> str:
    """Milliseconds of processor a photograph, in words: each step of ours, and what it replaces."""
    size = preprocessing.size
    files = [path.read_bytes() for path in paths]
    entropy, _ = _each(lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), EIGHTH), files)
    decoding, images = _each(lambda data: decode_bytes(data, size), files)
    crop, squares = _each(lambda image: pad_to_square(crop_to_disc(image)), images)
    resizing, small = _each(
        lambda image: cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), squares
    )
    equalising, _ = _each(lambda image: equalise(image, Clahe(3.0, 8)), small)
    full, images = _each(lambda path: Image.open(path).convert("RGB"), paths)
    at_full_size, _ = _each(clahe, images)
    return (
        f"JPEG at an eighth of its scale {entropy:.1f}, decoding {decoding:.1f}, crop {crop:.1f}, "
        f"resizing {resizing:.1f}, CLAHE {equalising:.1f}; PIL decodes in {full:.1f}, CLAHE before "
        f"resizing takes {at_full_size:.1f}"
    )


def _each(work: Callable[[Any], Any], inputs: Sequence[Any]) -> tuple[float, list[Any]]:
    """Milliseconds of processor for each input, and the outputs."""
    outputs = [work(one) for one in inputs]
    start = time.process_time()
    for one in inputs:  # nothing is kept: new memory for each would cost more than the work
        work(one)
    return 1000 * (time.process_time() - start) / len(inputs), outputs


def _note(times: Times, photographs: int) -> str:
    each = ", ".join(
        f"{name} {1000 * np.median(seconds) / photographs:.2f}"
        for name, seconds in times.cpu.items()
    )
    return f"milliseconds of processor a photograph: {each}"


def _filling(times: Times) -> str:
    found: Spread = times.cpu_ratio("plain", "filling")
    return (
        f"filling the cache, once, with hashes and quality: {found.median:.2f} "
        f"({found.low:.2f} - {found.high:.2f}) of the same ratio"
    )
