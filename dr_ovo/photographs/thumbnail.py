"""A small JPEG of a photograph, for pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2

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
        image = decode_image(path, side)
    except DamagedImage:
        return None
    scale = side / max(image.shape[:2])
    width, height = (max(1, round(length * scale)) for length in image.shape[1::-1])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return Thumbnail(encoded.tobytes(), width, height)
