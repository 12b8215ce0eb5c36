"""The preprocessing steps by name: disc crop, Ben Graham's normalisation, CLAHE. Add a step here.

None sees a grade or a split. They run in the order of STEPS: those of CROPS choose a part of the
picture, then it is resized, then those of AFTER_RESIZING map it to another picture. CLAHE costs 20
times more at 1024 px than at 224.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from dr_ovo.photographs.disc import disc_box, disc_region

# Graham's constants: gain on the difference to the local mean, width of the Gaussian in radii of
# the disc, share of the radius that is kept (the edge would stand out), and the grey elsewhere.
CONTRAST, LOCAL, KEPT, NEUTRAL = 4.0, 1 / 30, 0.9, 128
# Share of the radius. Where the frame cuts off the disc, its edge is blended with the surround.
SEAM = 0.025


@dataclass(frozen=True)
class Clahe:
    """The parameters of CLAHE."""

    clip_limit: float
    tile_grid_size: int


Crop = Callable[[np.ndarray], tuple[int, int, int, int]]  # to top, bottom, left, right in pixels
Step = Callable[[np.ndarray, Clahe], np.ndarray]


def ben_graham(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 with the local mean subtracted and 0.9 of the disc's radius kept.

    Benjamin Graham's winning entry (Kaggle Diabetic Retinopathy Detection, report of 2015):
    4 x (picture - Gaussian mean) + 128, the Gaussian's width being a thirtieth of the radius.
    `disc_crop` and resizing bring all discs to the same radius beforehand. His mean includes the
    black surround; this one is taken over the disc's pixels only, so that a disc cut off by the
    frame has no bright seam there. The two agree away from the edges.
    """
    whole, centre, radius = disc_region(image)
    seam = np.ones((2 * math.ceil(SEAM * radius) + 1,) * 2, np.uint8)
    inside = cv2.erode(whole.astype(np.uint8), seam) > 0
    weight = inside.astype(np.float32)
    picture = image.astype(np.float32)
    share = np.maximum(cv2.GaussianBlur(weight, (0, 0), LOCAL * radius), 1e-3)
    summed = cv2.GaussianBlur(picture * weight[..., None], (0, 0), LOCAL * radius)
    result = NEUTRAL + CONTRAST * (picture - summed / share[..., None])
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    near = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 <= (KEPT * radius) ** 2
    result[~(inside & near)] = NEUTRAL
    return result.round().clip(0, 255).astype(np.uint8)


def equalise(image: np.ndarray, settings: Clahe) -> np.ndarray:
    """(H, W, 3) uint8 RGB with CLAHE applied to the L channel of LAB."""
    tiles = (settings.tile_grid_size, settings.tile_grid_size)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    clahe = cv2.createCLAHE(clipLimit=settings.clip_limit, tileGridSize=tiles)
    lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


CROPS: dict[str, Crop] = {"disc_crop": disc_box}
AFTER_RESIZING: dict[str, Step] = {
    "ben_graham": lambda image, _: ben_graham(image),
    "clahe": equalise,
}
STEPS = (*CROPS, *AFTER_RESIZING)
