"""What pictures are drawn with: a grid, smoothed noise, a round field on plain ground."""

from __future__ import annotations

import cv2
import numpy as np

S = 256  # pixels of a side


def grid(size: int = S) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return x, y


def clouds(rng, size=S, sigmas=(4, 12, 30)):
    """(size,size) float, mean 0 sd 1: smoothed noise of several scales"""
    out = np.zeros((size, size), np.float32)
    for s in sigmas:
        n = cv2.GaussianBlur(rng.standard_normal((size, size)).astype(np.float32), (0, 0), s)
        out += n / n.std()
    return out / out.std()


def disc(inner, rng, ground=(0, 0, 0), radius=None, centre=None):
    """What of a picture is inside a circle, on plain ground."""
    h, w = inner.shape[:2]
    r = radius or 0.45 * min(h, w)
    cx, cy = centre or (w / 2, h / 2)
    x, y = np.meshgrid(np.arange(w), np.arange(h))
    inside = (x - cx) ** 2 + (y - cy) ** 2 <= r * r
    out = np.empty_like(inner)
    out[:] = ground
    out[inside] = inner[inside]
    return out


def u8(a):
    """Rounded to 0-255."""
    return np.clip(np.rint(a), 0, 255).astype(np.uint8)


def uniform(colour):
    """One colour."""
    return np.full((S, S, 3), colour, np.uint8)
