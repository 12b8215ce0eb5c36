"""How well a photograph can be graded: focus, field and exposure, from its pixels alone.

No grade, split or file name is looked at. Each part is 0 to 1 and the score is the least of them,
as one spoilt part spoils the photograph. All is measured at one size of the disc, so that the
number of pixels doesn't matter, down to a disc of SMALLEST_DISC pixels: smaller ones have lost
the detail by which focus is judged, and their quality is unknown rather than bad.

The limits were set without grades, on the 516 photographs of IDRiD and on damage planted in them:
where a part is MIN_GRADABLE, it stands beyond nearly all of the former and short of the latter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dr_ovo.photographs.disc import brightest_channel, disc_mask, largest_outline
from dr_ovo.photographs.gradability import MIN_GRADABLE
from dr_ovo.photographs.image_decoding import decode_bytes, read_bytes, reduction
from dr_ovo.photographs.preprocessing import Preprocessing

DISC_SIDE = 192  # pixels of the disc's diameter at which everything is measured
SMALLEST_DISC = 160  # pixels; below this the quality is unknown
RIM = 8  # pixels inside the disc's edge that are left out: the edge is no detail
SMALLEST_INSIDE = 500  # pixels of the disc inside its rim; of fewer nothing is measured
# The scales of detail, as standard deviations in pixels: finest (vessel walls, small lesions),
# fine and medium (vessels).
FINE, MEDIUM, COARSE = 1.0, 2.0, 4.0
MIN_DETAIL = 0.2  # grey levels: less is rounding
CLIPPED = 250  # grey level from which a channel is taken for saturated
NEIGHBOURHOOD = 25  # pixels a side over which illumination is averaged

# (value at which a part is 0, value at which it is 1); linear between, level beyond.
FINEST_DETAIL = (0.25, 1.05)  # finest over medium detail; defocus takes it away
FINE_DETAIL = (0.42, 0.98)  # fine over medium detail; as above, less moved by noise
NOISE = (4.0, 2.0)  # finest over medium detail; sensor noise adds to it
VISIBLE = (0.68, 0.96)  # share of the disc, as far as the frame shows it, that is lit
FRAMED = (0.50, 0.58)  # share of the disc that the frame shows
BRIGHTNESS = (40.0, 112.0)  # mean of the brightest channel
SATURATED = (0.7, 0.3)  # share of pixels with a clipped channel
UNEVENNESS = (0.6, 0.3)  # spread of the local brightness over its mean


@dataclass(frozen=True)
class Quality:
    """Each 0 to 1, NaN where the photograph is too small to tell; `gradable` is None then."""

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

    A picture without a dark surround is taken for retina up to its edges.
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
    # What lies beyond the picture counts as dark: its edge is a rim as well.
    edge = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    measured = cv2.erode(measured, edge, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    field = _field(inside, (x, y), radius)
    if np.count_nonzero(measured) < SMALLEST_INSIDE:
        return Quality(0.0, 0.0, field, 0.0)
    focus, exposure = _focus(picture, measured), _exposure(picture, measured > 0)
    return Quality(min(focus, field, exposure), focus, field, exposure)


def load_with_quality(path: Path, preprocessing: Preprocessing) -> tuple[np.ndarray, Quality]:
    """A photograph as the network takes it, and its quality, of one reading of the file.

    The quality is measured at one scale whatever the network's size, so that several networks'
    predictions hold the same. Raises DamagedImage.
    """
    data = read_bytes(path)
    image = decode_bytes(data, preprocessing.size)
    measured = image
    if reduction(data, DISC_SIDE) != reduction(data, preprocessing.size):
        measured = decode_bytes(data, DISC_SIDE)
    return preprocessing.apply(image), quality_of(measured)


def _interpolation(factor: float) -> int:
    return cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC


def _ramp(value: float, ends: tuple[float, float]) -> float:
    """0 at the first of `ends` and beyond, 1 at the second and beyond, linear between."""
    none, full = ends
    return min(1.0, max(0.0, (value - none) / (full - none)))


def _enclosing_circle(inside: np.ndarray) -> tuple[tuple[float, float], float]:
    """Centre (x, y) and radius of the disc in pixels of (h, w) bool.

    The smallest circle around the lit part is the disc's own, whether the frame or something dark
    hides a part of it: two opposite points of the rim are enough.
    """
    outline = largest_outline(inside)
    if outline is None:
        height, width = inside.shape
        return (width / 2, height / 2), max(height, width) / 2
    (x, y), radius = cv2.minEnclosingCircle(outline)
    return (float(x), float(y)), float(radius)


def _field(inside: np.ndarray, centre: tuple[float, float], radius: float) -> float:
    """How much of the disc is in the frame, and lit."""
    rows, columns = np.ogrid[: inside.shape[0], : inside.shape[1]]
    disc = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 <= radius**2
    in_frame = np.count_nonzero(disc)
    lit = np.count_nonzero(inside & disc) / (in_frame or 1)
    return min(_ramp(lit, VISIBLE), _ramp(in_frame / (math.pi * radius**2), FRAMED))


def _focus(picture: np.ndarray, measured: np.ndarray) -> float:
    """Detail of the green channel, where vessels and lesions show best, by its scale.

    Defocus takes the finest first, so the finest over the medium tells it whatever the contrast.
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
    """Neither dark nor saturated, and evenly lit, by the brightest channel of each pixel."""
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
