"""Drawing primitives of the synthetic photographs: paints, shapes, strokes, blobs, blending.

Everything is drawn as a right eye in retina units: (0, 0) is the centre of the circular field of
view, 1 its radius, x points right, y down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

SUPERSAMPLING = 2  # thin vessels and microaneurysms are narrower than a pixel
SUBPIXEL_BITS = 4

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Paint:
    """The effect of a layer on the picture below: `picture * gain + light` where it is opaque."""

    gain: Colour
    light: Colour = (0.0, 0.0, 0.0)
    soft: float = 0.0  # blur of the layer's edge: standard deviation in retina units


@dataclass(frozen=True)
class Shape:
    """A closed outline (K, 2) in retina units and its opacity in 0..1."""

    outline: np.ndarray
    opacity: float = 1.0


@dataclass(frozen=True)
class View:
    """The position of the retina in a square picture of `size` pixels."""

    size: int
    centre: tuple[float, float]
    radius: float

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Pixel coordinates (..., 2) of points (..., 2) in retina units."""
        return points * self.radius + np.asarray(self.centre)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x (1, size) and y (size, 1) of the pixel centres, in retina units, float32."""
        steps = np.arange(self.size, dtype=np.float32)
        x, y = ((steps - np.float32(c)) / np.float32(self.radius) for c in self.centre)
        return x[None, :], y[:, None]


def blend(picture: np.ndarray, alpha: np.ndarray, how: Paint) -> None:
    """Paints `picture` (3, H, W) float32 with opacity `alpha` (H, W) in 0..1, in place."""
    for plane, gain, light in zip(picture, how.gain, how.light, strict=True):
        change = plane * np.float32(gain - 1)
        change += np.float32(light)
        change *= alpha
        plane += change


def paint(picture: np.ndarray, view: View, shapes: Iterable[Shape], how: Paint) -> None:
    """Paints the shapes onto `picture` (3, size, size), float32 in 0..1, in place."""
    fine = np.zeros((view.size * SUPERSAMPLING,) * 2, np.uint8)
    for shape in shapes:
        points = (view.pixels(shape.outline) + 0.5) * SUPERSAMPLING - 0.5
        corners = np.rint(points * 2**SUBPIXEL_BITS).astype(np.int32)
        cv2.fillPoly(fine, [corners], 255 * shape.opacity, cv2.LINE_AA, SUBPIXEL_BITS)
    layer = cv2.resize(fine, (view.size, view.size), interpolation=cv2.INTER_AREA)
    alpha: np.ndarray = layer.astype(np.float32)
    alpha /= 255
    if how.soft:
        alpha = cv2.GaussianBlur(alpha, (0, 0), how.soft * view.radius)
    blend(picture, alpha, how)


def wander(
    start: np.ndarray,
    heading: float,
    turn: float,
    length: float,
    rng: np.random.Generator,
    wiggle: float = 0.15,
) -> np.ndarray:
    """(24, 2) points of a path from `start` towards `heading` that turns by `turn` (radians)."""
    t = np.linspace(0, 1, 24)
    waves = np.sin(np.outer([9, 17], t) + rng.uniform(0, 2 * np.pi, (2, 1)))
    angle = heading + turn * t + wiggle * waves.sum(axis=0)
    steps = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (length / len(t))
    return start + np.cumsum(steps, axis=0) - steps[0]


def stroke(points: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """The outline (2 N, 2) of a line through `points` (N, 2) with full `widths` (N,)."""
    along = np.gradient(points, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across *= (widths / 2 / np.hypot(*along.T))[:, None]
    return np.concatenate([points + across, (points - across)[::-1]])


def blob(centre: np.ndarray, radius: float, rough: float, rng: np.random.Generator) -> np.ndarray:
    """The outline (20, 2) of a spot within `radius` of `centre`; `rough` in 0..1 dents its edge."""
    angle = np.arange(20) * (2 * np.pi / 20)
    waves = np.sin(np.outer([2, 3, 5], angle) + rng.uniform(0, 2 * np.pi, (3, 1))).mean(axis=0)
    reach = radius * (1 - rough * (waves + 1) / 2)
    return centre + np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]
