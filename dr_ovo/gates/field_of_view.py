"""Finds the field of view of a picture: a round or oval part on dark or plain ground, or all of it.

Unlike `dr_ovo/photographs/disc.py` it doubts that there is a disc: it says which share of a circle
is seen, also where the frame or a mask cuts the circle off, and where a turned picture was filled
up with black, white or grey.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import cv2
import numpy as np

from dr_ovo.photographs.disc import SEARCHED_SIDE, brightest_channel

ROUND, OVAL, FRAME = "round", "oval", "frame"
BLACK = 12  # grey levels; a picture that is darker everywhere shows nothing
MIN_STEP = 8  # grey levels between the ground and the bright part of a picture
MAX_GROUND = 0.45  # of the bright part's level; lighter corners are no dark ground
LIT = 0.15  # of the step from the ground to the bright part; darker pixels are ground
PLAIN = 3  # grey levels; corners filled up with one colour differ by less
DARK = 30  # grey levels; a darker corner is ground as it is
MIN_FILLED = 0.01  # of the picture
MIN_ARC = 0.35  # of a circle, or of an ellipse 0.5, that must be seen
MIN_OVAL_ARC = 0.5
MAX_OVAL = 1.8  # the longer over the shorter axis
TOLERANCE = 0.02  # of the radius
TRIALS = 200  # circles through three points of the outline
POINTS = 240  # of the outline
SECTORS = 72  # of the circle, in which the outline is looked for
HALO = 0.03  # of the diameter; nearer to the field, the ground may shine
FEW_GROUND = 20  # pixels of ground at this size, below which nothing is said of it
DIM = 50  # grey levels; in a darker field, the ground is compared with this


@dataclass(frozen=True)
class Field:
    """The lit part of a picture: its `shape`, (h, w) bool `inside` at 1 / `scale` of the picture's
    size, its `diameter` in the picture's pixels, the share of its circle that is seen (`arc`),
    and the level of its bright part (`light`, 0 to 255). `on_dark`: there is dark ground. That is
    how uneven (`ground`: its 10th to 90th percentile) and how coloured (`ground_colour`: brightest
    minus darkest channel), as shares of `light`; of one plain colour that fills corners, nothing
    is said."""

    shape: str
    inside: np.ndarray
    scale: float
    diameter: float
    arc: float
    light: float
    on_dark: bool
    ground: float = 0.0
    ground_colour: float = 0.0

    @property
    def share(self) -> float:
        """The share of the picture that lies inside."""
        return float(self.inside.mean())


def find_field(image: np.ndarray) -> Field:
    """The field of view of (H, W, 3) uint8; the whole picture where nothing stands out."""
    scale = max(1.0, max(image.shape[:2]) / SEARCHED_SIDE)
    sides = tuple(max(1, round(side / scale)) for side in image.shape[1::-1])
    small = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
    filled = _plain_corners(small)
    small[filled] = 0
    kernel = 3 if min(sides) < 64 else 5
    light = cv2.GaussianBlur(brightest_channel(small), (kernel, kernel), 0).astype(np.float32)
    lit = light[~filled]
    top = float(np.percentile(lit if len(lit) else light, 98))
    floor = float(np.median(_corners(light)))
    whole = Field(FRAME, ~filled, scale, float(max(image.shape[:2])), 0.0, top, on_dark=False)
    if floor > MAX_GROUND * top or top - floor < MIN_STEP:
        return whole
    hull = _largest_hull(light > floor + max(2.0, LIT * (top - floor)), kernel)
    if hull is None:
        return whole
    return _with_ground(_shaped(hull, light.shape, scale, top), small, filled)


def _with_ground(field: Field, small: np.ndarray, filled: np.ndarray) -> Field:
    """The field with what is said of its ground, in the picture (h, w, 3) of its size."""
    halo = 2 * max(2, round(HALO * field.diameter / field.scale)) + 1
    near = cv2.dilate((field.inside | filled).astype(np.uint8), np.ones((halo, halo), np.uint8))
    ground = small[near == 0]
    if len(ground) < FEW_GROUND:
        return field
    middle = np.median(ground, axis=0)
    if field.shape == FRAME and middle[0] > 1.1 * max(middle[1:]):
        return field  # a part of a retina, with corners in the shade
    low, high = np.percentile(ground.max(axis=1), (10, 90))
    light = max(field.light, DIM)
    return dataclasses.replace(
        field, ground=float(high - low) / light, ground_colour=float(np.ptp(middle)) / light
    )


def _shaped(hull: np.ndarray, sides: tuple[int, ...], scale: float, light: float) -> Field:
    """The field inside a hull (K, 1, 2), by what of its outline is not the picture's edge."""
    inside = np.zeros(sides, np.uint8)
    cv2.fillConvexPoly(inside, hull, 1)
    points = _outline(hull)
    margin = 1.5
    height, width = sides
    free = (points > margin).all(axis=1) & (points < (width - 1 - margin, height - 1 - margin)).all(
        axis=1
    )
    arc, radius, shape = 0.0, 0.0, FRAME
    if np.count_nonzero(free) >= 12:
        arc, radius = _circle(points[free])
        if arc >= MIN_ARC:
            shape = ROUND
        elif np.count_nonzero(free) >= 30 and _oval_arc(points[free]) >= MIN_OVAL_ARC:
            shape = OVAL
    diameter = 2 * radius if shape == ROUND else float(max(cv2.boundingRect(hull)[2:]))
    return Field(shape, inside.astype(bool), scale, diameter * scale, arc, light, on_dark=True)


def _corners(light: np.ndarray) -> np.ndarray:
    side = max(2, min(light.shape) // 20)
    ends = slice(None, side), slice(-side, None)
    return np.concatenate([light[rows, columns].ravel() for rows in ends for columns in ends])


def _plain_corners(small: np.ndarray) -> np.ndarray:
    """(h, w) bool: light corners of one plain colour, as programs fill up a turned picture."""
    height, width = small.shape[:2]
    found = np.zeros((height, width), bool)
    how = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if small[y, x].max() < DARK or found[y, x]:
            continue
        mask = np.zeros((height + 2, width + 2), np.uint8)
        cv2.floodFill(small, mask, (x, y), 0, (PLAIN,) * 3, (PLAIN,) * 3, how)
        part = mask[1:-1, 1:-1]
        if part.mean() >= MIN_FILLED:
            found |= cv2.dilate(part, np.ones((3, 3), np.uint8)).astype(bool)
    return found


def _largest_hull(inside: np.ndarray, kernel: int) -> np.ndarray | None:
    """The convex hull (K, 1, 2) of the largest lit part without specks; None if all is dark."""
    padded = np.pad(inside.astype(np.uint8), kernel)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, np.ones((kernel, kernel), np.uint8))
    own = np.ascontiguousarray(opened[kernel:-kernel, kernel:-kernel])
    outlines, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.convexHull(max(outlines, key=cv2.contourArea)) if outlines else None


def _outline(hull: np.ndarray) -> np.ndarray:
    """Points (P, 2) at equal distances along a hull (K, 1, 2)."""
    corners = hull[:, 0].astype(np.float64)
    closed = np.concatenate([corners, corners[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    count = int(min(POINTS, max(12, along[-1])))
    at = np.linspace(0, along[-1], count, endpoint=False)
    return np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1)


def _circle(points: np.ndarray) -> tuple[float, float]:
    """The share of a circle on which points (P, 2) lie, and its radius, of the circle through three
    of them that has most; none may lie well outside it. (0, 0) where there is none."""
    chosen = np.random.default_rng(0).integers(0, len(points), (TRIALS, 3))
    a, b, c = (points[chosen[:, one]] for one in range(3))
    d = 2 * (a[:, 0] * (b - c)[:, 1] + b[:, 0] * (c - a)[:, 1] + c[:, 0] * (a - b)[:, 1])
    good = np.abs(d) > 0.5 * len(points)
    a, b, c, d = a[good], b[good], c[good], d[good]
    squares = [(each**2).sum(axis=1) for each in (a, b, c)]
    sides = b - c, c - a, a - b
    x = sum(square * side[:, 1] for square, side in zip(squares, sides, strict=True)) / d
    y = -sum(square * side[:, 0] for square, side in zip(squares, sides, strict=True)) / d
    radius = np.hypot(a[:, 0] - x, a[:, 1] - y)
    across, down = points[:, 0] - x[:, None], points[:, 1] - y[:, None]
    beyond = np.hypot(across, down) - radius[:, None]
    tolerance = np.maximum(1.0, TOLERANCE * radius)[:, None]
    on_it = np.abs(beyond) < tolerance
    fits = (beyond > 2.5 * tolerance).mean(axis=1) <= 0.02
    best = 0.0, 0.0
    for number in np.flatnonzero(fits):
        seen = _sectors(across[number, on_it[number]], down[number, on_it[number]])
        best = max(best, (seen, float(radius[number])))
    return best


def _oval_arc(points: np.ndarray) -> float:
    """The share of an ellipse on which points (P, 2) lie; 0 for one that is too long."""
    (x, y), axes, degrees = cv2.fitEllipseDirect(points.astype(np.float32))
    if not 0 < max(axes) < MAX_OVAL * min(axes):
        return 0.0
    turn = math.radians(degrees)
    own = points - (x, y)
    across = own @ (math.cos(turn), math.sin(turn)) / (axes[0] / 2)
    down = own @ (-math.sin(turn), math.cos(turn)) / (axes[1] / 2)
    on_it = np.abs(np.hypot(across, down) - 1) < 1.5 * TOLERANCE
    return _sectors(across[on_it], down[on_it])


def _sectors(across: np.ndarray, down: np.ndarray) -> float:
    """The share of the sectors of a circle in which there are points."""
    turns = (np.arctan2(down, across) + math.pi) / (2 * math.pi)
    return len(np.unique((turns * SECTORS).astype(int) % SECTORS)) / SECTORS
