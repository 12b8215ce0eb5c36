"""Measures how the inside of a field of view looks: colour, its spread, contrast, noise, lines.

All at one size of the field, so that the number of pixels doesn't matter, and relative to its
light, so that a dark or a pale photograph is measured like another.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dr_ovo.gates.colours import colours
from dr_ovo.gates.field_of_view import FRAME, Field

DIAMETER = 128  # pixels at which all but flatness is measured; smaller pictures stay as they are
RIM = 0.06  # of the diameter; excluded, as the edge of the field is no detail
FLAT_SIDE = 700  # pixels; flatness is measured at the picture's own size up to this one
LINE_SCALES = (1.0, 1.6, 2.4)  # pixels; widths of vessels
LONG_LINE = 0.15  # of the diameter
SMALLEST = 30  # pixels


@dataclass(frozen=True)
class Appearance:
    """The inside of a field of view; logarithms are natural ones."""

    pixels: float  # of the diameter, at which it was measured
    colour: float  # 1 - darkest / brightest channel, of the median pixel: 0 is grey
    red_green: float  # median log(red / green)
    green_blue: float  # median log(green / blue)
    spread: float  # of log(red / green): its 10th to 90th percentile, in standard deviations
    blue_spread: float  # the same of log(green / blue)
    warm: float  # share of pixels in which red is the strongest channel
    other: float  # share of pixels, without the darkest, in which green or blue is the strongest
    drift: float  # of log(green / blue), from side to side: the standard deviation of its plane
    clipped: float  # share of pixels with a saturated red channel
    contrast: float  # standard deviation of the log brightness
    noise: float  # share of the contrast that is in single pixels
    shape: float  # standard deviation of the smoothed log brightness, without even shading
    gradient: float  # median step of the log brightness from pixel to pixel
    steep: float  # 95th percentile of the same
    lines: float  # 99th percentile of the strength of dark lines
    length: float  # of all long dark lines, in diameters
    longest: float  # of the dark lines, in diameters
    flat: float  # share of pixels that equal all their neighbours

    @property
    def tint(self) -> float:
        """How much the colour varies beside the brightness: near 0 for one dye or material."""
        return self.spread / max(self.contrast, 0.01)

    @property
    def relief(self) -> float:
        """How much of the contrast is not even shading, as that of a ball is."""
        return self.shape / max(self.contrast, 0.01)

    @property
    def edges(self) -> float:
        """How much steeper the steepest steps are than the others."""
        return self.steep / max(self.gradient, 0.004)

    @property
    def hatching(self) -> float:
        """How many lines there are, by how sharp it is: vessels are many, but soft."""
        return self.length * self.steep

    @property
    def monochrome(self) -> bool:
        """Whether it is grey, or of green light alone, as a red-free photograph."""
        return self.colour < 0.1 or (self.red_green < -1.5 and self.green_blue > 1.5)


def measure(image: np.ndarray, field: Field) -> Appearance | None:
    """The appearance of (H, W, 3) uint8 RGB inside its field; None where that has no pixels."""
    if np.count_nonzero(field.inside) < SMALLEST:
        return None
    crop, mask = _cropped(image, field)
    factor = min(1.0, DIAMETER / field.diameter)
    sides = max(8, round(crop.shape[1] * factor)), max(8, round(crop.shape[0] * factor))
    picture = cv2.resize(crop, sides, interpolation=cv2.INTER_AREA).astype(np.float32)
    diameter = field.diameter * factor
    inside = _without_rim(cv2.resize(mask, sides, interpolation=cv2.INTER_NEAREST), field, diameter)
    if np.count_nonzero(inside) < SMALLEST:
        return None
    red, green, _ = np.median(picture[inside], axis=0)
    light = picture[..., 1] if green > 0.25 * red else picture.mean(axis=2)
    log_light = np.log(light + 0.05 * float(np.median(light[inside])) + 1)
    return Appearance(
        pixels=diameter,
        **colours(picture, inside),
        **_textures(log_light, inside),
        **_dark_lines(log_light, inside, diameter),
        flat=_flatness(crop, inside),
    )


def _cropped(image: np.ndarray, field: Field) -> tuple[np.ndarray, np.ndarray]:
    """The picture (h, w, 3) and the mask uint8 of the field, in the box around it."""
    rows, columns = (np.flatnonzero(field.inside.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    whole = [
        slice(int(part.start * field.scale), min(side, round(part.stop * field.scale)))
        for part, side in zip(box, image.shape[:2], strict=True)
    ]
    return image[whole[0], whole[1]], field.inside[box].astype(np.uint8)


def _without_rim(mask: np.ndarray, field: Field, diameter: float) -> np.ndarray:
    """(h, w) bool: the mask without its rim; the edge of a picture without ground is none."""
    rim = max(1, round(RIM * diameter))
    frame = field.shape == FRAME and not field.on_dark
    padded = np.pad(mask, rim, constant_values=int(frame))
    eroded = cv2.erode(padded, np.ones((2 * rim + 1,) * 2, np.uint8))
    return np.asarray(eroded[rim:-rim, rim:-rim] > 0)


def _textures(light: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """What is measured on the log brightness (h, w)."""
    contrast = float(light[inside].std())
    finest = light - cv2.GaussianBlur(light, (0, 0), 1.0)
    smooth = cv2.GaussianBlur(_without_shading(light, inside), (0, 0), 1.5 * max(light.shape) / 64)
    steps = np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)) / 8
    gradient, steep = np.percentile(steps[inside], (50, 95))
    return {
        "contrast": contrast,
        "noise": float(finest[inside].std()) / (contrast + 1e-3),
        "shape": float(smooth[inside].std()),
        "gradient": float(gradient),
        "steep": float(steep),
    }


def _without_shading(light: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The log brightness (h, w) less its best quadratic surface; 0 outside."""
    y, x = (np.mgrid[: light.shape[0], : light.shape[1]] / max(light.shape) - 0.5).astype(
        np.float32
    )
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    weights, *_ = np.linalg.lstsq(terms[inside], light[inside], rcond=None)
    return np.where(inside, light - terms @ weights, np.float32(0)).astype(np.float32)


def _dark_lines(light: np.ndarray, inside: np.ndarray, diameter: float) -> dict[str, float]:
    """Strength and length of dark lines, by the curvature of the log brightness (h, w)."""
    strength = np.zeros(light.shape, np.float32)
    for sigma in LINE_SCALES:
        smooth = cv2.GaussianBlur(light, (0, 0), sigma)
        across = cv2.Sobel(smooth, cv2.CV_32F, 2, 0) / 4
        down = cv2.Sobel(smooth, cv2.CV_32F, 0, 2) / 4
        mixed = cv2.Sobel(smooth, cv2.CV_32F, 1, 1) / 4
        mean, root = (across + down) / 2, np.hypot((across - down) / 2, mixed)
        line = sigma**2 * (mean + root - 1.5 * np.abs(mean - root))
        strength = np.maximum(strength, line)
    strongest = float(np.percentile(strength[inside], 99))
    line_pixels = (strength > max(0.006, 0.3 * strongest)) & inside
    _, _, boxes, _ = cv2.connectedComponentsWithStats(line_pixels.astype(np.uint8), connectivity=8)
    lengths = np.hypot(boxes[1:, 2], boxes[1:, 3]) / diameter
    return {
        "lines": strongest,
        "length": float(lengths[lengths > LONG_LINE].sum()),
        "longest": float(lengths.max(initial=0)),
    }


def _flatness(crop: np.ndarray, inside: np.ndarray) -> float:
    """The share of pixels inside that equal their eight neighbours, as in drawings."""
    factor = min(1.0, FLAT_SIDE / max(crop.shape[:2]))
    sides = round(crop.shape[1] * factor), round(crop.shape[0] * factor)
    picture = cv2.resize(crop, sides, interpolation=cv2.INTER_NEAREST)
    mask = cv2.resize(inside.astype(np.uint8), sides, interpolation=cv2.INTER_NEAREST) > 0
    kernel = np.ones((3, 3), np.uint8)
    same = (cv2.dilate(picture, kernel) == cv2.erode(picture, kernel)).all(axis=2)
    return float(same[mask].mean())
