"""The descriptor of a fundus photograph: a vector that survives copying and filtering.

Perceptual hashes of 64 bits can't tell fundus photographs apart: all are orange discs. What differs
is the pattern of vessels, optic disc and lesions. The descriptor keeps that pattern and removes the
illumination: the green channel (where vessels show best), scaled to the disc, minus its local mean,
divided by its local contrast inside the disc. CLAHE, brightness and contrast hardly change it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dr_ovo.photographs.disc import disc_box

DESCRIPTOR_SIDE = 64  # pixels; the disc's longer side
DESCRIPTOR_VERSION = 1  # increase when the same picture would get another descriptor
MARGIN = 0.125  # margin around the disc in a view, as a share of its side
GREEN = 1
# Orientation number, as in `turned(picture, number)` -> its description in reports.
ORIENTATIONS = (
    "the same orientation",
    "turned by 90 degrees counterclockwise",
    "turned by 180 degrees",
    "turned by 90 degrees clockwise",
    "flipped left to right",
    "flipped left to right, then turned by 90 degrees counterclockwise",
    "flipped top to bottom",
    "flipped left to right, then turned by 90 degrees clockwise",
)
MIN_DETAIL = 0.05  # standard deviation of the details in units of the local contrast
INVERSES = (0, 3, 2, 1, 4, 5, 6, 7)  # number of the inverse of each orientation
MIN_CONTRAST = 20  # grey levels between the disc and its surround


@dataclass(frozen=True)
class Bands:
    """The scales of detail that the high pass keeps, as shares of the disc's side.

    They are standard deviations of Gaussians: for the local mean, for the local contrast, and for
    smoothing beforehand (0: none).
    """

    mean: float
    contrast: float
    smooth: float = 0.0


DESCRIPTOR_BANDS = Bands(mean=1 / 12, contrast=1 / 8)


@dataclass(frozen=True)
class View:
    """A photograph scaled so that its disc is `side` px wide in the middle of a square.

    `picture` (C, C, 3) uint8 RGB; `visible` (C, C) bool: inside the edges of the file; `disc`
    (C, C) bool: the retina.
    """

    side: int
    picture: np.ndarray
    visible: np.ndarray
    disc: np.ndarray


def describe_picture(image: np.ndarray) -> np.ndarray:
    """The descriptor of (H, W, 3) uint8 RGB: its high-passed disc, (D,) float16 of norm 1.

    D = DESCRIPTOR_SIDE², row by row, zero outside the disc; all zeros for a picture without detail.
    """
    view = view_of(image, DESCRIPTOR_SIDE)
    detail, _ = high_pass(view, DESCRIPTOR_BANDS)
    edge = (len(detail) - DESCRIPTOR_SIDE) // 2
    inner = detail[edge : edge + DESCRIPTOR_SIDE, edge : edge + DESCRIPTOR_SIDE]
    norm = float(np.linalg.norm(inner))
    return (inner / norm if norm > 0 else inner).astype(np.float16).ravel()


def turned(pictures: np.ndarray, orientation: int) -> np.ndarray:
    """(..., S, S) in one of the eight orientations of a square, as ORIENTATIONS names them."""
    flipped = pictures[..., ::-1] if orientation >= 4 else pictures
    return np.rot90(flipped, orientation % 4, axes=(-2, -1))


def view_of(image: np.ndarray, side: int) -> View:
    """The view of (H, W, 3) uint8 RGB whose disc is `side` px wide (or high, if that is more)."""
    canvas = side + 2 * round(MARGIN * side)
    top, bottom, left, right = disc_box(image)
    scale = side / max(bottom - top, right - left)
    if scale < 1:  # by averaging, to avoid aliasing
        sides = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        small = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
    else:
        small = image
    wide, high = small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]
    zoom = max(1.0, scale)
    # Half a pixel, because coordinates start at the centre of the first pixel.
    across = (canvas - 1) / 2 - zoom * (wide * (left + right) / 2 - 0.5)
    down = (canvas - 1) / 2 - zoom * (high * (top + bottom) / 2 - 0.5)
    matrix = np.array([[zoom, 0, across], [0, zoom, down]])
    picture = cv2.warpAffine(small, matrix, (canvas, canvas), flags=cv2.INTER_LINEAR)
    whole = np.full(small.shape[:2], 255, np.uint8)
    visible = cv2.warpAffine(whole, matrix, (canvas, canvas), flags=cv2.INTER_LINEAR) > 250
    return View(side, picture, visible, _disc(picture, visible, side))


def _disc(picture: np.ndarray, visible: np.ndarray, side: int) -> np.ndarray:
    """(C, C) bool: the retina; everything visible if there is no dark surround."""
    light = cv2.GaussianBlur(picture.max(axis=2), (0, 0), 0.5 + side / 128).astype(np.float32)
    seen = light[visible]
    if not len(seen):
        return visible
    floor, bright = (float(level) for level in np.percentile(seen, (1, 90)))
    if bright - floor < MIN_CONTRAST or floor > 0.4 * bright:
        return visible
    disc = ((light > floor + max(3.0, 0.15 * (bright - floor))) & visible).astype(np.uint8)
    # Dark vessels and lesions inside the disc belong to it.
    return (cv2.morphologyEx(disc, cv2.MORPH_CLOSE, _round(0.03 * side)) > 0) & visible


def _round(radius: float) -> np.ndarray:
    """A round structuring element, at least 3 px wide."""
    width = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))


def high_pass(view: View, bands: Bands) -> tuple[np.ndarray, np.ndarray]:
    """The details of a view (C, C) float32 with mean 0, and the mask where they are known (C, C).

    Known is the disc without its rim, whose edge would outweigh all detail. Zero elsewhere.
    """
    disc = view.disc.astype(np.uint8)
    inside = cv2.erode(
        disc, _round(view.side / 40), borderType=cv2.BORDER_CONSTANT, borderValue=(0,)
    )
    if not inside.any():
        return np.zeros(inside.shape, np.float32), inside > 0
    mask = inside.astype(np.float32)
    green = view.picture[..., GREEN].astype(np.float32)
    if bands.smooth:
        green = _blur(green, bands.smooth * view.side)
    weight = np.maximum(_blur(mask, bands.mean * view.side), 1e-6)
    detail = (green - _blur(green * mask, bands.mean * view.side) / weight) * mask
    weight = np.maximum(_blur(mask, bands.contrast * view.side), 1e-6)
    # Plus half a grey level, so that noise in the last bit is not amplified.
    contrast = np.sqrt(_blur(detail * detail, bands.contrast * view.side) / weight) + 0.5
    detail = np.clip(detail / contrast, -3, 3)
    detail = (detail - detail[inside > 0].mean()) * mask
    if detail[inside > 0].std() < MIN_DETAIL:
        detail[:] = 0
    return detail, inside > 0


def _blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(plane, (0, 0), sigma)
