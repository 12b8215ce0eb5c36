"""Registers two fundus photographs and measures their fit: score, rotation, scale, rim.

A copy fits exactly: its details correlate, the rims of the discs coincide, and it is rotated by
right angles only. A second photograph of the same eye correlates too, but the eye has moved behind
the camera's aperture: its vessels are rotated or shifted relative to the rim.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dr_ovo.copies.descriptor import DESCRIPTOR_SIDE, MARGIN, Bands, high_pass, turned, view_of

REGISTRATION_SIDE = 256  # pixels of the disc's longer side
REGISTRATION_BANDS = Bands(mean=1 / 20, contrast=1 / 10, smooth=1 / 256)
# Sizes of the second disc relative to the first: if a disc fills its file, cropping 8 % per side
# makes it 1/0.84 = 1.19 times as large in its view.
SCALES = (0.84, 0.88, 0.92, 0.96, 1.0, 1.04, 1.085, 1.135, 1.19)
ECC_STEPS = ((9, 40), (3, 40))  # width of the Gaussian in px, iterations: coarse, then fine


@dataclass(frozen=True)
class RegistrationImage:
    """A photograph ready for registration: its high-passed `detail` (C, C) float32, the mask
    `known` (C, C) bool where that is defined; `visible` and `disc` as in a View."""

    detail: np.ndarray
    known: np.ndarray
    visible: np.ndarray
    disc: np.ndarray

    def turned(self, orientation: int) -> RegistrationImage:
        """The same photograph in another of the eight orientations."""
        parts = (self.detail, self.known, self.visible, self.disc)
        return RegistrationImage(
            *(np.ascontiguousarray(turned(part, orientation)) for part in parts)
        )


@dataclass(frozen=True)
class CoarseAlignment:
    """Roughly where a second picture fits on a first; shifts are in units of the disc's side."""

    score: float  # correlation of the descriptors' finest details in that position
    scale: float
    across: float
    down: float


@dataclass(frozen=True)
class Registration:
    """How well a second photograph fits on a first.

    `score` is the correlation of their details in [-1, 1], `turn` the remaining rotation in
    degrees, `scale` the factor by which the second must be scaled to fit, `rim` the share of the
    discs' area where one shows retina and the other its dark surround.
    """

    score: float
    turn: float
    scale: float
    rim: float


NO_FIT = Registration(score=0.0, turn=0.0, scale=1.0, rim=1.0)


def registration_image(image: np.ndarray) -> RegistrationImage:
    """(H, W, 3) uint8 RGB, prepared for `register`."""
    view = view_of(image, REGISTRATION_SIDE)
    detail, known = high_pass(view, REGISTRATION_BANDS)
    return RegistrationImage(detail, known, view.visible, view.disc)


def padded(descriptor: np.ndarray) -> np.ndarray:
    """(C, C) float32: a descriptor (D,) as a picture with the margin of a view around it."""
    edge = round(MARGIN * DESCRIPTOR_SIDE)
    inner = descriptor.reshape(DESCRIPTOR_SIDE, DESCRIPTOR_SIDE).astype(np.float32)
    return np.pad(inner, edge)


def spectra(descriptor: np.ndarray) -> np.ndarray:
    """(len(SCALES), C / 2, C / 4 + 1) complex: the conjugate spectra of a descriptor (C, C) at each
    scale, at half its resolution and of norm 1; for `coarse_alignments`."""
    small = _halved(descriptor)
    middle = (len(small) - 1) / 2
    scaled = []
    for scale in SCALES:
        shift = (1 - scale) * middle
        matrix = np.array([[scale, 0, shift], [0, scale, shift]])
        picture = cv2.warpAffine(small, matrix, small.shape[::-1])
        scaled.append(picture / (np.linalg.norm(picture) + 1e-9))
    return np.conj(np.fft.rfft2(np.stack(scaled)))


def coarse_alignments(
    firsts: np.ndarray, second: np.ndarray, second_spectra: np.ndarray
) -> list[CoarseAlignment]:
    """The best fit of a second descriptor on each of N first ones, over all scales and shifts.

    `firsts` (N, C, C) and `second` (C, C) float32 as `padded` gives them; `second_spectra` what
    `spectra` gave for the second.
    """
    small = _halved(firsts)
    products = np.fft.rfft2(small)[:, None] * second_spectra
    maps = np.fft.irfft2(products, s=small.shape[1:])  # (N, scales, C / 2, C / 2)
    peaks = np.unravel_index(maps.reshape(len(maps), -1).argmax(axis=1), maps.shape[1:])
    finest = _finest(second)
    inside = (second != 0).astype(np.float32)
    alignments = []
    for first, correlations, size, *peak in zip(firsts, maps, *peaks, strict=True):
        down, across = (2 * shift for shift in _peak(correlations[size], *(int(at) for at in peak)))
        scale, middle = SCALES[size], (len(first) - 1) / 2
        offset = (1 - scale) * middle
        matrix = np.array([[scale, 0, offset + across], [0, scale, offset + down]])
        moved = cv2.warpAffine(finest, matrix, first.shape)
        known = (first != 0) & (cv2.warpAffine(inside, matrix, first.shape) > 0.99)
        score = _correlation(_finest(first)[known], moved[known])
        alignments.append(
            CoarseAlignment(score, scale, across / DESCRIPTOR_SIDE, down / DESCRIPTOR_SIDE)
        )
    return alignments


def _halved(descriptors: np.ndarray) -> np.ndarray:
    """(..., C / 2, C / 2): (..., C, C) averaged over squares of 2 x 2 pixels."""
    rows = descriptors[..., ::2, :] + descriptors[..., 1::2, :]
    return np.asarray((rows[..., ::2] + rows[..., 1::2]) / 4)


def _peak(scores: np.ndarray, row: int, column: int) -> tuple[float, float]:
    """The shift (down, across) at the peak of a cyclic correlation (S, S), to subpixel precision:
    the vertex of the parabola through the maximum at `row`, `column` and its neighbours."""
    side = len(scores)
    shifts = []
    for at, line in ((row, scores[:, column]), (column, scores[row])):
        before, top, after = line[at - 1], line[at], line[(at + 1) % side]
        curvature = before - 2 * top + after
        fraction = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
        # The correlation is cyclic: shifts beyond half the square are negative.
        shifts.append((at + side // 2) % side - side // 2 + float(fraction))
    return shifts[0], shifts[1]


def _finest(descriptor: np.ndarray) -> np.ndarray:
    """A descriptor without structures broader than vessels, which different fundi share."""
    return descriptor - cv2.GaussianBlur(descriptor, (0, 0), 0.04 * DESCRIPTOR_SIDE)


def register(
    first: RegistrationImage, second: RegistrationImage, start: CoarseAlignment
) -> Registration:
    """How well `second` fits on `first`, starting from `start`: affine registration by enhanced
    correlation coefficient (Evangelidis & Psarakis 2008; cv2.findTransformECC)."""
    side = len(first.detail)
    middle = (side - 1) / 2
    across, down = (shift * REGISTRATION_SIDE for shift in (start.across, start.down))
    back = 1 / start.scale  # the matrix maps the first picture to the second
    matrix = np.array(
        [
            [back, 0, middle - back * (middle + across)],
            [0, back, middle - back * (middle + down)],
        ],
        np.float32,
    )
    try:
        for width, iterations in ECC_STEPS:
            criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, iterations, 1e-4)
            _, found = cv2.findTransformECC(
                first.detail, second.detail, matrix, cv2.MOTION_AFFINE, criteria,
                first.known.astype(np.uint8), width,
            )  # fmt: skip
            matrix = np.asarray(found, np.float32)
    except cv2.error:  # the search diverged: no fit
        return NO_FIT
    return _judge(first, second, matrix)


def _judge(first: RegistrationImage, second: RegistrationImage, matrix: np.ndarray) -> Registration:
    """The fit of `second` on `first`, where the (2, 3) `matrix` maps the first to the second."""
    detail = _moved(second.detail, matrix)
    visible = (_moved(second.visible.astype(np.float32), matrix) > 0.5) & first.visible
    known = (_moved(second.known.astype(np.float32), matrix) > 0.99) & first.known
    disc = _moved(second.disc.astype(np.float32), matrix) > 0.5
    either = int(((disc | first.disc) & visible).sum())
    (a, b), (c, d) = matrix[:, :2].astype(float)
    area = a * d - b * c
    if not either or area <= 0:
        return NO_FIT
    return Registration(
        score=_correlation(first.detail[known], detail[known]),
        turn=float(np.degrees(np.arctan2(c - b, a + d))),
        scale=float(area**-0.5),
        rim=float(((disc ^ first.disc) & visible).sum() / either),
    )


def _moved(plane: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(
        plane, matrix, plane.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson correlation of two (K,); 0 where one is constant or K is below 100."""
    if len(first) < 100:
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / norm if norm > 0 else 0.0
