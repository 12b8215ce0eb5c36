"""A dataset of drawn photographs for benchmarks, quickly made, no two files alike; its size.

Each drawing of `dr_ovo/synthetic/fundus.py` serves in all its turned and mirrored forms, since
drawing at 1024 px takes longer than what is measured. The contents differ, as the toolkit keeps one
row of a content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dr_ovo.synthetic.fundus import draw_fundus

JPEG_QUALITY = 92
GRADES = 5  # that can be drawn; a higher class has the picture of another
FORMS = 8  # turned by four angles, mirrored or not
SEED = 1


@dataclass(frozen=True)
class Size:
    """Photographs of each grade, their side and the network's input in pixels, timed rounds."""

    per_grade: int
    side: int
    img_size: int
    rounds: int


def draw_photographs(
    folder: Path, split_counts: Mapping[str, int], size: int, classes: int = GRADES
) -> Path:
    """`folder` with `<split>/<class>/<number>.jpeg` of `size` x `size` pixels, and its path.

    `split_counts` is the number of photographs of each class in each split. The same arguments give
    the same bytes.
    """
    for label in range(classes):
        draw_class(folder, split_counts, size, label)
    return folder


def draw_class(folder: Path, split_counts: Mapping[str, int], size: int, label: int) -> None:
    """The photographs of one class of `draw_photographs`."""
    pictures = _pictures(label, size)
    for split, count in split_counts.items():
        place = folder / split / str(label)
        place.mkdir(parents=True)
        for number in range(count):
            _write(place / f"{number:04d}.jpeg", next(pictures))


def _pictures(label: int, size: int) -> Iterator[np.ndarray]:
    """Endlessly many different pictures of a class, (size, size, 3) uint8 RGB."""
    seed = SEED + 10_000 * label
    while True:
        drawn, _ = draw_fundus(label % GRADES, "left", size, seed, seed)
        for form in range(FORMS):
            turned = np.rot90(drawn, form % 4)
            yield np.ascontiguousarray(turned[:, ::-1] if form >= 4 else turned)
        seed += 1


def _write(path: Path, picture: np.ndarray) -> None:
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, encoded = cv2.imencode(".jpeg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)
    path.write_bytes(encoded.tobytes())
