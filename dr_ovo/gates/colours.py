"""Measures the colours inside a field of view, relative to its light, and how they change."""

from __future__ import annotations

import numpy as np

CLIPPED = 250  # grey level from which a channel counts as saturated
LIT = 0.3  # of the median pixel's brightest channel; a darker pixel has no colour to speak of


def colours(picture: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """What `Appearance` has of colours, of the pixels `inside` (h, w) of a picture (h, w, 3)."""
    pixels = picture[inside]
    red, green, blue = pixels.T
    brightest = pixels.max(axis=1)
    median = np.median(pixels, axis=0).max()
    offset = 0.03 * max(float(median), 1.0) + 1  # black is no colour
    red_green = np.log((red + offset) / (green + offset))
    green_blue = np.log((green + offset) / (blue + offset))
    of_another = (green > 1.1 * red) | ((blue > 1.1 * red) & (blue > 1.05 * green))
    least = pixels.min(axis=1)
    return {
        "colour": float(np.median((brightest - least) / np.maximum(brightest, 8))),
        "red_green": float(np.median(red_green)),
        "green_blue": float(np.median(green_blue)),
        "spread": _spread(red_green),
        "blue_spread": _spread(green_blue),
        "warm": float(((red >= 1.02 * green) & (red >= 1.1 * blue)).mean()),
        "other": float((of_another & (brightest > LIT * median)).mean()),
        "drift": _drift(green_blue, inside),
        "clipped": float((red >= CLIPPED).mean()),
    }


def _spread(values: np.ndarray) -> float:
    low, high = np.percentile(values, (10, 90))
    return float(high - low) / 2.56


def _drift(values: np.ndarray, inside: np.ndarray) -> float:
    """The standard deviation of the best plane through values (n,) at the pixels `inside`."""
    places = np.argwhere(inside).astype(np.float32)
    terms = np.column_stack([np.ones(len(places), np.float32), places])
    weights, *_ = np.linalg.lstsq(terms, values, rcond=None)
    return float((terms @ weights).std())
