"""Measures the image quality of a photograph: focus, field, exposure, and their thresholds.

Uses no grade, split or file name. Each part is between 0 and 1; the score is the lowest of them,
because one bad part makes the photograph ungradable. Everything is measured at one size of the
disc, so that the number of pixels doesn't matter. Discs below SMALLEST_DISC pixels have lost the
detail that shows focus: their quality is unknown, not bad.

The limits were set without grades, on the 516 photographs of IDRiD and on damage planted in them:
MIN_GRADABLE separates nearly all of the originals from the damaged versions, in every part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from dr_ovo.photographs.disc import brightest_channel, disc_mask, largest_outline
from dr_ovo.photographs.gradability import MIN_GRADABLE
from dr_ovo.photographs.image_decoding import decode_bytes, reduction
from dr_ovo.photographs.preprocessing import Preprocessing

DISC_SIDE = 192  # pixels of the disc's diameter at which everything is measured
SMALLEST_DISC = 160  # pixels of diameter; below this the quality is unknown
RIM = 8  # pixels inside the disc's edge that are excluded: the edge is not detail
SMALLEST_INSIDE = 500  # pixels of the disc inside its rim; with fewer, nothing is measured
# Standard deviations in pixels that separate the scales of detail: finest (vessel walls, small
# lesions), fine, and medium (vessels).
FINE, MEDIUM, COARSE = 1.0, 2.0, 4.0
MIN_DETAIL = 0.2  # grey levels; anything less is rounding noise
CLIPPED = 250  # grey level from which a channel counts as saturated
NEIGHBOURHOOD = 25  # pixels; side of the square over which illumination is averaged

# (value at which a part is 0, value at which it is 1); linear in between, constant outside.
FINEST_DETAIL = (0.25, 1.05)  # finest over medium detail; defocus lowers it
FINE_DETAIL = (0.42, 0.98)  # fine over medium detail; as above, but less affected by noise
NOISE = (4.0, 2.0)  # finest over medium detail; sensor noise raises it
VISIBLE = (0.68, 0.96)  # lit share of the disc's part that is inside the frame
FRAMED = (0.50, 0.58)  # share of the disc that is inside the frame
BRIGHTNESS = (40.0, 112.0)  # mean of the brightest channel
SATURATED = (0.7, 0.3)  # share of pixels with a clipped channel
UNEVENNESS = (0.6, 0.3)  # standard deviation of the local brightness over its mean


@dataclass(frozen=True)
class Quality:
    """Each 0 to 1; NaN where the photograph is too small to tell, and `gradable` is None then."""

    score: float
    focus: float
    field: float
    exposure: float

    @property
    def gradable(self) -> bool | None:
        """Whether the score is at least MIN_GRADABLE; None where it is unknown."""
        return None if math.isnan(self.score) else self.score >= MIN_GRADABLE


UNKNOWN = Quality(math.nan, math.nan, math.nan, math.nan)


def quality_of(image: np.ndarray) -> Quality:
    """The quality of a photograph (H, W, 3) uint8 RGB; unknown where its disc has too few pixels.

    A picture without a dark surround counts as retina up to its edges.
    """
    found = disc_mask(image)
    inside = np.ones(image.shape[:2], dtype=bool) if found is None else found.inside
    scale = 1.0 if found is None else found.scale
    (x, y), radius = _enclosing_circle(inside)
    diameter = 2 * radius * scale
    if diameter < SMALLEST_DISC:
        return UNKNOWN
    factor = DISC_SIDE / diameter
    sides = round(image.shape[1] * factor), round(image.shape[0] * factor)
    picture = cv2.resize(image, sides, interpolation=_interpolation(factor))
    measured = cv2.resize(inside.astype(np.uint8), sides, interpolation=cv2.INTER_NEAREST)
    # Pixels beyond the picture count as dark, so that its edge is eroded like the rim.
    edge = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    measured = cv2.erode(measured, edge, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    field = _field(inside, (x, y), radius)
    if np.count_nonzero(measured) < SMALLEST_INSIDE:
        return Quality(0.0, 0.0, field, 0.0)
    focus, exposure = _focus(picture, measured), _exposure(picture, measured > 0)
    return Quality(min(focus, field, exposure), focus, field, exposure)


def decode_with_quality(data: bytes, preprocessing: Preprocessing) -> tuple[np.ndarray, Quality]:
    """The network input of a photograph with this content, and its quality.

    The quality is measured at the same scale whatever the network's input size, so that all
    networks record the same value. Raises DamagedImage.
    """
    image = decode_bytes(data, preprocessing.size)
    measured = image
    if reduction(data, DISC_SIDE) != reduction(data, preprocessing.size):
        measured = decode_bytes(data, DISC_SIDE)
    return preprocessing.apply(image), quality_of(measured)


def _interpolation(factor: float) -> int:
    return cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC


def _ramp(value: float, ends: tuple[float, float]) -> float:
    """0 at the first of `ends` and beyond, 1 at the second and beyond, linear in between."""
    zero_at, one_at = ends
    return min(1.0, max(0.0, (value - zero_at) / (one_at - zero_at)))


def _enclosing_circle(inside: np.ndarray) -> tuple[tuple[float, float], float]:
    """Centre (x, y) and radius of the disc in pixels of (h, w) bool.

    It is the smallest circle around the lit part. That is the disc's circle even where the frame
    or a shadow hides a part, as long as two opposite points of the rim are visible.
    """
    outline = largest_outline(inside)
    if outline is None:
        height, width = inside.shape
        return (width / 2, height / 2), max(height, width) / 2
    (x, y), radius = cv2.minEnclosingCircle(outline)
    return (float(x), float(y)), float(radius)


def _field(inside: np.ndarray, centre: tuple[float, float], radius: float) -> float:
    """How much of the disc is inside the frame and lit, as a score from 0 to 1."""
    rows, columns = np.ogrid[: inside.shape[0], : inside.shape[1]]
    disc = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 <= radius**2
    in_frame = np.count_nonzero(disc)
    lit = np.count_nonzero(inside & disc) / (in_frame or 1)
    return min(_ramp(lit, VISIBLE), _ramp(in_frame / (math.pi * radius**2), FRAMED))


def _focus(picture: np.ndarray, measured: np.ndarray) -> float:
    """Sharpness of the green channel, where vessels and lesions show best, from 0 to 1.

    Defocus removes the finest detail first, so the ratio of finest to medium detail shows it at
    any contrast.
    """
    green = picture[..., 1].astype(np.float32)
    smooth = [cv2.GaussianBlur(green, (0, 0), sigma) for sigma in (FINE, MEDIUM, COARSE)]
    finest, fine, medium = (
        float(cv2.meanStdDev(sharper - smoother, mask=measured)[1][0, 0])
        for sharper, smoother in zip([green, *smooth[:2]], smooth, strict=True)
    )
    if medium < MIN_DETAIL:
        return 0.0
    sharp = min(_ramp(finest / medium, FINEST_DETAIL), _ramp(fine / medium, FINE_DETAIL))
    return min(sharp, _ramp(finest / medium, NOISE))


def _exposure(picture: np.ndarray, measured: np.ndarray) -> float:
    """Whether the disc is neither dark nor saturated, and evenly lit, from 0 to 1."""
    light = brightest_channel(picture)
    values = light[measured]
    mean = float(values.mean())
    if mean == 0:
        return 0.0
    local = cv2.blur(light, (NEIGHBOURHOOD, NEIGHBOURHOOD))[measured]
    return min(
        _ramp(mean, BRIGHTNESS),
        _ramp(float((values >= CLIPPED).mean()), SATURATED),
        _ramp(float(local.std()) / mean, UNEVENNESS),
    )
