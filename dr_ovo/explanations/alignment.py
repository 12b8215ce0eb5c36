"""Where in a network's input the places of a map lie, as a spot tells that is moved over it.

They need not divide the input evenly. With the symmetric padding of most CNNs a convolution of
stride 2 centres its output i at its input 2 i, half a pixel from the middle of the two pixels that
it stands for; after five of them that is half a place. Training can take it back: kernels need not
be symmetric. So it is measured, with the weights that the network has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from dr_ovo.photographs.geometry import Grid

SPOTS = 9  # along the diagonal, over two steps around the middle
BACKGROUNDS = 3  # the first is plain, the others are clouds
BRIGHT = 2.0  # of a spot and of the clouds, in standard deviations of the input
MOST_SPREAD = 2.0  # by how much a spot may seem to move slower or faster than it does
MapsOf = Callable[[torch.Tensor], np.ndarray]  # (B, 3, S, S), normalised, to (B, T, n, n)


def grid_of(maps_of: MapsOf, size: int, count: int, views: int = 1) -> Grid:
    """The grid of maps of `count` places a side over inputs of `size` pixels; the mean over the
    first `views` flips, whose maps are flipped back.

    Where a spot changes a map everywhere alike, the places are taken to divide the input evenly.
    """
    step = float(size / count) if size % count == 0 else 2.0 ** np.ceil(np.log2(size / count))
    even = (size - 1 - step * (count - 1)) / 2
    down, across = _first_places(maps_of, size, count, step) or (even, even)
    # The first place of a flipped view is as far from the other edge.
    down, across = even if views > 2 else down, even if views > 1 else across
    return Grid((across + 0.5) / size, (down + 0.5) / size, step / size)


def _first_places(
    maps_of: MapsOf, size: int, count: int, step: float
) -> tuple[float, float] | None:
    """The centre of the first place, (row, column) in pixels; None where it can't be told."""
    where = np.linspace(size / 2 - step, size / 2 + step, SPOTS).round().astype(int)
    responses = np.zeros((BACKGROUNDS, SPOTS, 2))
    for number in range(BACKGROUNDS):
        images = _background(number, size)[None].repeat(SPOTS + 1, 1, 1, 1)
        half = max(1, round(step / 8))
        for image, place in zip(images[1:], where, strict=True):
            around = slice(max(0, place - half), place + half + 1)
            image[:, around, around] += BRIGHT
        maps = maps_of(images)
        changed = np.square(maps[1:] - maps[0]).sum(axis=1)  # (SPOTS, n, n)
        for axis in (0, 1):
            sums = changed.sum(axis=2 - axis)
            with np.errstate(invalid="ignore"):
                responses[number, :, axis] = sums @ np.arange(count) / sums.sum(axis=1)
    found = []
    for axis in (0, 1):
        seen = responses[..., axis].mean(axis=0)
        if not np.isfinite(seen).all() or np.ptp(seen) < 1e-6:
            return None
        slope, offset = np.polyfit(seen, where, 1)
        if not 1 / MOST_SPREAD < slope / step < MOST_SPREAD:
            return None
        # What spreads over all places pulls a response to the middle, and leaves it there.
        middle = (count - 1) / 2
        first = slope * middle + offset - step * middle
        if abs(first - (size - 1 - step * (count - 1)) / 2) > step:
            return None
        found.append(float(first))
    return found[0], found[1]


def _background(number: int, size: int) -> torch.Tensor:
    """(3, S, S): of the mean colour, or clouds."""
    if number == 0:
        return torch.zeros(3, size, size)
    noise = torch.randn(3, size + 8, size + 8, generator=torch.Generator().manual_seed(number))
    clouds = functional.avg_pool2d(noise[None], 9, stride=1)[0]
    return BRIGHT * clouds / clouds.std()
