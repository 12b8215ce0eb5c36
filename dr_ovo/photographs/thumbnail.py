"""A small JPEG of a photograph, for pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import decode_image

SIDE = 180  # pixels of the longer side
JPEG_QUALITY = 70


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG with its width and height in pixels."""

    jpeg: bytes
    width: int
    height: int


def thumbnail(path: Path, side: int = SIDE) -> Thumbnail | None:
    """The picture with `side` pixels on its longer side; None where it can't be decoded."""
    try:
        return as_jpeg(shrunken(decode_image(path, side), side))
    except DamagedImage:
        return None


def shrunken(image: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) uint8 with `side` pixels on its longer side."""
    scale = side / max(image.shape[:2])
    width, height = (max(1, round(length * scale)) for length in image.shape[1::-1])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def as_jpeg(image: np.ndarray) -> Thumbnail:
    """(H, W, 3) uint8 RGB as a small file."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return Thumbnail(encoded.tobytes(), image.shape[1], image.shape[0])
