"""Alterations of a photograph that a search for copies must see through, and a second exposure.

All are functions from (H, W, 3) uint8 RGB to the same.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dr_ovo.photographs.disc import crop_to_disc, disc_box, pad_to_square

Alteration = Callable[[np.ndarray], np.ndarray]


def half(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def recompressed(image: np.ndarray, quality: int = 50) -> np.ndarray:
    """The image re-encoded as JPEG of this quality."""
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def rescaled(factor: float, offset: float = 0) -> Alteration:
    """Each value times `factor` plus `offset`, clipped to 0-255."""

    def alter(image: np.ndarray) -> np.ndarray:
        values = image.astype(np.float32) * factor + offset
        return np.clip(values, 0, 255).round().astype(np.uint8)

    return alter


def contrasted(factor: float) -> Alteration:
    """Each value's difference from the image's mean times `factor`."""

    def alter(image: np.ndarray) -> np.ndarray:
        return rescaled(factor, (1 - factor) * float(image.mean()))(image)

    return alter


def equalised(image: np.ndarray, clip_limit: float = 3.0) -> np.ndarray:
    """CLAHE on the lightness, 8x8 tiles."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    clahe = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(8, 8))
    lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def cropped(
    top: float, bottom: float | None = None, left: float | None = None, right: float | None = None
) -> Alteration:
    """Cropped by these shares of the sides; `top` alone applies to all four."""
    shares = [top if share is None else share for share in (top, bottom, left, right)]

    def alter(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        rows = slice(round(height * shares[0]), height - round(height * shares[1]))
        columns = slice(round(width * shares[2]), width - round(width * shares[3]))
        return np.ascontiguousarray(image[rows, columns])

    return alter


def prepared(image: np.ndarray) -> np.ndarray:
    """Cropped to the disc, padded, 224 px, CLAHE: as preprocessed for training."""
    square = pad_to_square(crop_to_disc(image))
    return equalised(cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA))


def in_turn(*alterations: Alteration) -> Alteration:
    def alter(image: np.ndarray) -> np.ndarray:
        for alteration in alterations:
            image = alteration(image)
        return image

    return alter


def turned_90(image: np.ndarray) -> np.ndarray:
    """Counterclockwise."""
    return np.ascontiguousarray(np.rot90(image))


def flipped_horizontally(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[:, ::-1])


# Alterations that must be found.
ALTERATIONS: dict[str, Alteration] = {
    "resized to half": half,
    "JPEG quality 50": recompressed,
    "flipped horizontally": flipped_horizontally,
    "flipped vertically": lambda image: np.ascontiguousarray(image[::-1]),
    "turned by 90 degrees": turned_90,
    "turned by 270 degrees": lambda image: np.ascontiguousarray(np.rot90(image, 3)),
    "brightness x 1.2": rescaled(1.2),
    "brightness x 0.8": rescaled(0.8),
    "brightness + 51": rescaled(1, 51),
    "contrast x 1.2": contrasted(1.2),
    "contrast x 0.8": contrasted(0.8),
    "CLAHE 3.0": equalised,
    "cropped by 2 %": cropped(0.02),
    "cropped by 5 %": cropped(0.05),
    "cropped by 5 % at two sides": cropped(0.05, 0, 0, 0.05),
}
# Harder ones, to see where the search fails.
HARDER: dict[str, Alteration] = {
    "brightness - 51": rescaled(1, -51),
    "cropped by 8 %": cropped(0.08),
    "cropped by 8 % at two sides": cropped(0.08, 0, 0, 0.08),
    "prepared for training": prepared,
    "half, CLAHE, JPEG 50, flipped": in_turn(half, equalised, recompressed, flipped_horizontally),
    "cropped by 5 %, CLAHE, turned": in_turn(cropped(0.05), equalised, turned_90),
}


def another_exposure(image: np.ndarray, shift: float, turn: float) -> np.ndarray:
    """A second photograph of the same eye: the retina is shifted by `shift` of the disc's width and
    turned by `turn` degrees behind a fixed aperture, and is a tenth darker.

    The aperture is smaller than the original's, so that there is retina to move into it. `shift`
    and `turn` 0 give the first photograph, to compare others with.
    """
    top, bottom, left, right = disc_box(image)
    middle = (left + right) / 2, (top + bottom) / 2
    width = right - left
    matrix = cv2.getRotationMatrix2D(middle, turn, 1.0)
    matrix[:, 2] += shift * width * np.array([0.8, 0.6])
    moved = cv2.warpAffine(image, matrix, image.shape[1::-1], flags=cv2.INTER_CUBIC)
    aperture = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(aperture, (round(middle[0]), round(middle[1])), round(0.43 * width), 1, -1)
    lit = moved * (1.0 if shift == turn == 0 else 0.9) * aperture[..., None]
    return lit.round().astype(np.uint8)
