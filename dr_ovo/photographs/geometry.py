"""Which square of a photograph becomes the network's input: maps and masks follow it.

Everything is in shares of the photograph's sides, so that it holds for a copy of the photograph at
any resolution. The photograph is the one that is decoded: upright by its EXIF orientation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np


class Box(NamedTuple):
    """Edges in shares of the photograph's width (left, right) and height (top, bottom)."""

    left: float
    top: float
    right: float
    bottom: float


class Grid(NamedTuple):
    """A map's places over the network's input, in shares of its sides: the centre (x, y) of the
    first one, and the step from one to the next."""

    x: float
    y: float
    step: float

    @classmethod
    def even(cls, count: int) -> Grid:
        """The grid of `count` places a side that divide the input evenly."""
        return cls(0.5 / count, 0.5 / count, 1 / count)


@dataclass(frozen=True)
class Geometry:
    """`crop`: the part of the photograph that the network sees. `square`: the network's input, the
    crop with the black beside it; its edges may lie outside the photograph."""

    crop: Box
    square: Box

    @classmethod
    def of_crop(cls, box: tuple[int, int, int, int], shape: tuple[int, ...]) -> Geometry:
        """From the crop's top, bottom, left and right in pixels, ends excluded, of a photograph of
        this shape (H, W, ...), which is then padded to a square as `pad_to_square` does."""
        top, bottom, left, right = box
        height, width = shape[:2]
        side = max(bottom - top, right - left)
        above, before = (side - (bottom - top)) // 2, (side - (right - left)) // 2
        return cls(
            Box(left / width, top / height, right / width, bottom / height),
            Box(
                (left - before) / width,
                (top - above) / height,
                (left - before + side) / width,
                (top - above + side) / height,
            ),
        )

    def to_photograph(
        self, values: np.ndarray, height: int, width: int, grid: Grid | None = None
    ) -> np.ndarray:
        """A map (n, n), of which the places lie as `grid` says (by default evenly), as (height,
        width) float32 over a copy of the photograph of that size: bilinear between the centres of
        the places, 0 where the network saw nothing."""
        drawn = cv2.warpAffine(
            values.astype(np.float32),
            self._to_places(grid or Grid.even(len(values)), (height, width)),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.where(self.seen(height, width), drawn, np.float32(0))

    def to_input(self, mask: np.ndarray, size: int) -> np.ndarray:
        """A mask (H, W) over the photograph, at any resolution, as (size, size) over the input: its
        value at the centre of each pixel, 0 where the input is black."""
        height, width = mask.shape[:2]
        places = (np.arange(size) + 0.5) / size
        down = self.square.top + places * (self.square.bottom - self.square.top)
        across = self.square.left + places * (self.square.right - self.square.left)
        rows = np.floor(down * height).astype(int).clip(0, height - 1)
        columns = np.floor(across * width).astype(int).clip(0, width - 1)
        inside = _between(down, self.crop.top, self.crop.bottom)[:, None] & _between(
            across, self.crop.left, self.crop.right
        )
        return np.where(inside, mask[rows[:, None], columns], 0).astype(mask.dtype)

    def seen(self, height: int, width: int) -> np.ndarray:
        """(height, width) bool: what of a copy of the photograph of that size the network saw."""
        down = _between((np.arange(height) + 0.5) / height, self.crop.top, self.crop.bottom)
        across = _between((np.arange(width) + 0.5) / width, self.crop.left, self.crop.right)
        return down[:, None] & across

    def _to_places(self, grid: Grid, shape: tuple[int, int]) -> np.ndarray:
        """(2, 3): from a pixel (x, y) of a copy of the photograph to the number of the place."""
        height, width = shape
        box = self.square
        across = 1 / ((box.right - box.left) * grid.step)
        down = 1 / ((box.bottom - box.top) * grid.step)
        # A pixel's centre lies half a pixel from its edge.
        return np.array(
            [
                [across / width, 0, (0.5 / width - box.left) * across - grid.x / grid.step],
                [0, down / height, (0.5 / height - box.top) * down - grid.y / grid.step],
            ]
        )


def _between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values >= low) & (values < high)
