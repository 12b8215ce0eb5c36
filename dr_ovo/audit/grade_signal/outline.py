"""The outline of the fundus disc in its frame, against the corners' level: how it was taken.

Filters of brightness, contrast and CLAHE move corners and disc alike, and leave it where it is.
"""

from __future__ import annotations

import cv2
import numpy as np

OUTLINE_SIDE = 256  # pixels; the longer side of the picture in which the outline is measured
LINE_SHARE = 0.02  # of a column or row that is brighter: part of the disc
ABOVE_CORNERS = 15.0  # grey levels above the corners' level, and at least ...
RANGE_SHARE = 0.15  # ... of the range to the bright part: CLAHE's glow around the disc is below it
SPECK_SHARE = 0.02  # of the frame: bright parts that are smaller are dates and labels, not a disc
MIN_RANGE = 20.0  # grey levels between corners and bright part, below which there is no outline


def disc_outline(image: np.ndarray) -> tuple[float, float]:
    """Width and height of the disc as shares of the frame of (H, W, 3) uint8 RGB.

    Where at least LINE_SHARE of a column or row is brighter than the corners by a threshold; 1 and
    1 where nothing stands out from the corners. Filters of brightness, contrast and CLAHE shift
    corners and disc alike, and move 99 % of idrid's outlines by less than .008.
    """
    grey = _small_grey(image)
    floor, bright = _corner_level(grey), float(np.percentile(grey, 95))
    if bright - floor < MIN_RANGE:
        return 1.0, 1.0
    inside = _without_specks(grey > floor + max(ABOVE_CORNERS, RANGE_SHARE * (bright - floor)))
    return _extent(inside.mean(axis=0)), _extent(inside.mean(axis=1))


def _small_grey(image: np.ndarray) -> np.ndarray:
    """(h, w) float32 luma of (H, W, 3), the longer side at most OUTLINE_SIDE."""
    height, width = image.shape[:2]
    scale = max(height, width) / OUTLINE_SIDE
    if scale > 1:
        sides = max(1, round(width / scale)), max(1, round(height / scale))
        image = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)


def _corner_level(grey: np.ndarray) -> float:
    """The second lowest of the four corners' medians: a label or the disc may lie in two."""
    side = max(1, min(grey.shape) // 20)
    ends = (slice(None, side), slice(-side, None))
    return sorted(float(np.median(grey[rows, columns])) for rows in ends for columns in ends)[1]


def _without_specks(inside: np.ndarray) -> np.ndarray:
    """(h, w) bool without its connected parts that are smaller than SPECK_SHARE of the frame."""
    _, parts, sizes, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=4)
    large = sizes[:, cv2.CC_STAT_AREA] >= SPECK_SHARE * inside.size
    large[0] = False  # the surround
    return np.asarray(large[parts])


def _extent(shares: np.ndarray) -> float:
    """From the first to the last of `shares` (n,) that is disc, as a share of n; 1 without any."""
    found = np.flatnonzero(shares >= LINE_SHARE)
    return float(found[-1] + 1 - found[0]) / len(shares) if len(found) else 1.0
