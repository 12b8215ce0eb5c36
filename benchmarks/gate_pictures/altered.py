"""Photographs of a fundus as other cameras, accidents and programs make them: still a fundus.

All are functions from (H, W, 3) uint8 RGB to the same.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.alterations import equalised, recompressed, rescaled
from benchmarks.gate_pictures.canvas import u8
from dr_ovo.photographs.disc import disc_box

Alteration = Callable[[np.ndarray], np.ndarray]


def boxed(image: np.ndarray) -> np.ndarray:
    """Cropped to the disc."""
    top, bottom, left, right = disc_box(image)
    return image[top:bottom, left:right]


def turned(
    image: np.ndarray,
    degrees: float,
    fill: tuple[int, int, int] = (0, 0, 0),
    border: int = cv2.BORDER_CONSTANT,
) -> np.ndarray:
    """Turned by any angle, nothing cut off, the rest filled up."""
    height, width = image.shape[:2]
    side = int(np.ceil(np.hypot(height, width)))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    return cv2.warpAffine(image, matrix, (side, side), borderMode=border, borderValue=fill)


def middle(image: np.ndarray, share: float) -> np.ndarray:
    """A square of this share of the shorter side, around the middle of the disc."""
    height, width = image.shape[:2]
    side = int(share * min(height, width))
    _, _, left, right = disc_box(image)
    top, left = (height - side) // 2, min(max(0, (left + right - side) // 2), width - side)
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def blurred(image: np.ndarray, share: float) -> np.ndarray:
    """Out of focus: a Gaussian of this share of the longer side."""
    return cv2.GaussianBlur(image, (0, 0), share * max(image.shape))


def grey(image: np.ndarray) -> np.ndarray:
    """Without colour."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def green_alone(image: np.ndarray) -> np.ndarray:
    """Red-free, shown in green."""
    return image * np.array([0, 1, 0], np.uint8)


def wide_field(image: np.ndarray, green: float = 1.0) -> np.ndarray:
    """An oval of red and green light without blue, cut into by eyelashes."""
    picture = cv2.resize(boxed(image), (500, 420)).astype(np.float32)
    picture = picture[..., [0, 1, 1]] * np.array([0.8, 1.25 * green, 0.06])
    mask = np.zeros((420, 500), np.uint8)
    cv2.ellipse(mask, (250, 210), (235, 175), 0, 0, 360, 1, -1)
    rng = np.random.default_rng(1)
    for x in range(60, 440, 9):
        slant, low, high = (int(rng.integers(*ends)) for ends in ((-15, 15), (300, 380), (40, 90)))
        cv2.line(mask, (x, 419), (x + slant, low), 0, 2)
        cv2.line(mask, (x, 0), (x + slant, high), 0, 2)
    return u8(picture * mask[..., None])


def through_phone(image: np.ndarray) -> np.ndarray:
    """A small disc with a reflex in a large dark frame."""
    small = cv2.resize(boxed(image), (170, 170))
    inside = np.zeros((170, 170, 1), np.uint8)
    cv2.circle(inside, (85, 85), 80, 1, -1)
    frame = np.zeros((480, 360, 3), np.uint8)
    frame[150:320, 60:230] = small * inside
    reflex = np.zeros((480, 360), np.float32)
    cv2.circle(reflex, (120, 200), 9, 1, -1)
    reflex = cv2.GaussianBlur(reflex, (0, 0), 4)[..., None]
    return u8(cv2.GaussianBlur(frame, (0, 0), 1) + 200 * reflex + 8)


def lasered(image: np.ndarray) -> np.ndarray:
    """Pale and dark scars all over."""
    rng = np.random.default_rng(1)
    result, lit = image.astype(np.float32), image.max(axis=2) > 30
    for number in range(250):
        scar = np.zeros(image.shape[:2], np.float32)
        place = int(rng.integers(image.shape[1])), int(rng.integers(image.shape[0]))
        cv2.circle(scar, place, int(rng.integers(3, 7)), 1, -1, cv2.LINE_AA)
        scar = (scar * lit)[..., None]
        result = result * (1 - 0.55 * scar) if number % 2 else result + scar * (49, 63, 42)
    return u8(result)


def lasered_in_rows(image: np.ndarray) -> np.ndarray:
    """Pale scars with dark middles in rows, but for the middle of the picture."""
    result, side = image.astype(np.float32), min(image.shape[:2])
    lit, middle = image.max(axis=2) > 30, np.array(image.shape[1::-1]) / 2
    radius = max(2, round(0.011 * side))
    scars = np.zeros((2, *image.shape[:2]), np.float32)
    for row, y in enumerate(range(0, image.shape[0], 4 * radius)):
        for x in range(2 * radius * (row % 2), image.shape[1], 4 * radius):
            if np.hypot(*(middle - (x, y))) > 0.17 * side:
                cv2.circle(scars[0], (x, y), radius, 1, -1, cv2.LINE_AA)
                cv2.circle(scars[1], (x, y), radius // 3, 1, -1, cv2.LINE_AA)
    pale, dark = cv2.GaussianBlur(scars.transpose(1, 2, 0), (0, 0), 0.3 * radius).transpose(2, 0, 1)
    result += (0.5 * pale * lit)[..., None] * np.array([70, 90, 55])
    return u8(result * (1 - 0.5 * (dark * lit)[..., None]))


def bleeding(image: np.ndarray) -> np.ndarray:
    """Large dark haemorrhages."""
    rng = np.random.default_rng(1)
    result = image.astype(np.float32)
    for _ in range(14):
        blood = np.zeros(image.shape[:2], np.float32)
        place = int(rng.integers(image.shape[1])), int(rng.integers(image.shape[0]))
        axes = int(rng.integers(15, 80)), int(rng.integers(15, 60))
        cv2.ellipse(blood, place, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        result *= 1 - cv2.GaussianBlur(blood, (0, 0), 6)[..., None] * np.array([0.55, 0.8, 0.8])
    return u8(result)


def hazy(image: np.ndarray) -> np.ndarray:
    """As through a cataract."""
    lit = image.max(axis=2, keepdims=True) > 25
    return u8(np.where(lit, image * 0.45 + np.array([110, 85, 70]), image))


def on_white(image: np.ndarray) -> np.ndarray:
    """Cut out and put on white."""
    lit = cv2.GaussianBlur(image, (0, 0), 2).max(axis=2, keepdims=True) > 25
    return np.where(lit, image, np.uint8(255))


def half_dark(image: np.ndarray) -> np.ndarray:
    """The right half black."""
    result = image.copy()
    result[:, image.shape[1] // 2 :] = 0
    return result


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """The disc, at so many pixels."""
    return cv2.resize(boxed(image), (side, side), interpolation=cv2.INTER_AREA)


MIRRORED_AND_TURNED: dict[str, Alteration] = {
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "turned by 37 degrees": lambda image: turned(image, 37),
    "turned by 37, on white": lambda image: turned(image, 37, (255, 255, 255)),
    "turned by 110, on grey": lambda image: turned(image, 110, (127, 127, 127)),
    "turned upside down": lambda image: np.ascontiguousarray(image[::-1, ::-1]),
}
ALTERED: dict[str, Alteration] = {
    "untouched": lambda image: image,
    **MIRRORED_AND_TURNED,
    "cropped to the disc": boxed,
    "square within the disc": lambda image: middle(image, 0.68),
    "smaller square": lambda image: middle(image, 0.45),
    "square, turned by 30": lambda image: turned(middle(image, 0.68), 30),
    "square, turned, on white": lambda image: turned(middle(image, 0.68), 30, (255, 255, 255)),
    "a quarter of the light": rescaled(0.25),
    "an eighth of the light": rescaled(0.12),
    "twice the light": rescaled(2),
    "three times the light": rescaled(3),
    "blurred by 1 %": lambda image: blurred(image, 0.01),
    "blurred by 2 %": lambda image: blurred(image, 0.02),
    "blurred by 4 %": lambda image: blurred(image, 0.04),
    "blurred and dark": lambda image: rescaled(0.3)(blurred(image, 0.015)),
    "haze": hazy,
    "half in the dark": half_dark,
    "grey": grey,
    "red-free in green": green_alone,
    "wide field": wide_field,
    "wide field, greenish": lambda image: wide_field(image, 1.6),
    "phone": through_phone,
    "laser scars": lasered,
    "laser scars in rows": lasered_in_rows,
    "haemorrhages": bleeding,
    "CLAHE": equalised,
    "JPEG quality 30": lambda image: recompressed(image, 30),
    "twice the blue": lambda image: u8(image * np.array([0.9, 0.9, 2.2])),
    "cut out, on white": on_white,
    "28 px": lambda image: shrunk(image, 28),
    "64 px": lambda image: shrunk(image, 64),
}
