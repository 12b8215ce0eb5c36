"""Photograph file -> square uint8 RGB. One code path for training, evaluation and inference.

Steps: decode, crop to the disc of the fundus, pad to a square, resize, CLAHE on L of LAB. None of
them sees a grade or a split. Resizing comes before CLAHE: at 1024 px CLAHE costs 20 times more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dr_ovo.errors import UserError

MIN_SIDE = 16  # pixels; below this no picture shows a fundus
LEAST_CONTRAST = 20  # grey levels between the corners and the bright part of a picture
MOST_OBLONG = 1.7  # a disc that the camera cut off at top and bottom
VERSION = 1  # raised when the same settings would give other pixels
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
JPEG_SCAN = 0xDA
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
LONGEST_TAIL = 65536  # bytes that some cameras write after the end of the picture


class DamagedImage(ValueError):
    """A file that can't be read as a photograph; the text says why."""


@dataclass(frozen=True)
class Preprocessing:
    """How a photograph becomes network input, stored with every checkpoint."""

    size: int
    clahe: bool = True
    clahe_clip_limit: float = 3.0
    clahe_tile_grid_size: int = 8
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints and reports; CLAHE's own are left out where it is off."""
        values = asdict(self)
        if not self.clahe:
            del values["clahe_clip_limit"], values["clahe_tile_grid_size"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """The settings that `to_dict` gave. Raises UserError for those of another version."""
        if values.get("version") != VERSION:
            raise UserError(
                f"The checkpoint was made with preprocessing version {values.get('version')}, "
                f"this toolkit has {VERSION}: its grades would not be those of its training. "
                "Use the version of dr_ovo that trained it."
            )
        return cls(**values)

    @property
    def hash(self) -> str:
        """16 hex digits that change with every setting."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def apply(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (size, size, 3) uint8 RGB."""
        square = pad_to_square(crop_to_disc(image))
        shrinking = square.shape[0] > self.size
        interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
        resized = cv2.resize(square, (self.size, self.size), interpolation=interpolation)
        return self._equalise(resized) if self.clahe else resized

    def load(self, path: Path) -> np.ndarray:
        """The photograph at `path` as (size, size, 3) uint8 RGB. Raises DamagedImage."""
        return self.apply(decode_image(path, self.size))

    def _equalise(self, image: np.ndarray) -> np.ndarray:
        tiles = (self.clahe_tile_grid_size, self.clahe_tile_grid_size)
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        clahe = cv2.createCLAHE(clipLimit=self.clahe_clip_limit, tileGridSize=tiles)
        lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def decode_image(path: Path, size: int) -> np.ndarray:
    """The file as (H, W, 3) uint8 RGB; a JPEG much larger than `size` is decoded at reduced scale.

    8- and 16-bit, grey, colour and RGBA files are taken. Raises DamagedImage.
    """
    return decode_bytes(read_bytes(path), size)


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises DamagedImage where the system refuses it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedImage(f"can't be read: {error.strerror}") from None


def decode_bytes(data: bytes, size: int) -> np.ndarray:
    """What `decode_image` gives for a file with this content. Raises DamagedImage."""
    check_complete(data)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    if data.startswith(JPEG_START):
        flags = _reduced_flag(min(_jpeg_sides(data)), size)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise DamagedImage(f"can't be decoded: {error.err}") from None
    if image is None:
        raise DamagedImage("can't be decoded as an image")
    if min(image.shape[:2]) < MIN_SIDE:
        height, width = image.shape[:2]
        raise DamagedImage(f"only {width}x{height} pixels (at least {MIN_SIDE} a side)")
    if image.dtype == np.uint16:
        image = (image / 257).round().astype(np.uint8)
    elif image.dtype != np.uint8:
        raise DamagedImage(f"holds {image.dtype} pixels; 8 or 16 bits are expected")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def check_complete(data: bytes) -> None:
    """Raises DamagedImage for an empty file and for a JPEG or PNG that was cut off.

    Decoders fill the missing part of such a picture with grey and report nothing.
    """
    if not data:
        raise DamagedImage("is empty (zero bytes)")
    tail = max(0, len(data) - LONGEST_TAIL)
    if data.startswith(JPEG_START):
        # After the headers: the thumbnail in them has an end of its own.
        scan = next((at for marker, at in jpeg_segments(data) if marker == JPEG_SCAN), 0)
        if JPEG_END not in data[max(scan, tail) :]:
            raise DamagedImage("is truncated: the end of the JPEG is missing")
    if data.startswith(PNG_START) and PNG_END not in data[tail:]:
        raise DamagedImage("is truncated: the end of the PNG is missing")


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """(marker, where its content begins) of a JPEG's segments up to the first scan."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        yield marker, position + 4
        if marker == JPEG_SCAN:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")


def full_sides(data: bytes, image: np.ndarray) -> tuple[int, int]:
    """Height and width in pixels of the whole picture that `image` was decoded from."""
    height, width = image.shape[:2]
    sides = _jpeg_sides(data) if data.startswith(JPEG_START) else (0, 0)
    if not all(sides):
        return height, width
    # The header's sides are those before the turn that an EXIF orientation asks for.
    return sides if (sides[0] > sides[1]) == (height > width) else (sides[1], sides[0])


def _jpeg_sides(data: bytes) -> tuple[int, int]:
    """Height and width in pixels from the JPEG's frame header; zeros where there is none."""
    for marker, at in jpeg_segments(data):
        # SOF0-SOF15 hold the size; C4, C8 and CC are tables with numbers in that range.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = data[at + 1 : at + 3], data[at + 3 : at + 5]
            return int.from_bytes(height, "big"), int.from_bytes(width, "big")
    return 0, 0


def _reduced_flag(side: int, size: int) -> int:
    """The largest reduction that leaves 1.5 times `size`, so that cropping still shrinks."""
    for factor, flag in (
        (8, cv2.IMREAD_REDUCED_COLOR_8),
        (4, cv2.IMREAD_REDUCED_COLOR_4),
        (2, cv2.IMREAD_REDUCED_COLOR_2),
    ):
        if side // factor >= 1.5 * max(size, MIN_SIDE):
            return flag
    return cv2.IMREAD_COLOR


def crop_to_disc(image: np.ndarray) -> np.ndarray:
    """The part of (H, W, 3) uint8 that holds the fundus disc; all of it where none is found."""
    top, bottom, left, right = disc_box(image)
    return image[top:bottom, left:right]


def disc_box(image: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the fundus disc in (H, W, 3) uint8, in pixels, ends excluded;
    the whole picture where no disc is found.

    The disc is what stands out from the level of the picture's corners, since a fixed threshold
    fails on dark photographs and after a change of contrast. Never less than 40 % of a side.
    """
    height, width = image.shape[:2]
    whole = 0, height, 0, width
    scale = max(1.0, max(height, width) / 256)
    sides = max(1, round(width / scale)), max(1, round(height / scale))
    small = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
    light = cv2.GaussianBlur(small.max(axis=2), (5, 5), 0).astype(np.float32)
    corner = max(2, min(light.shape) // 20)
    corners = np.stack(
        [
            light[:corner, :corner],
            light[:corner, -corner:],
            light[-corner:, :corner],
            light[-corner:, -corner:],
        ]
    )
    floor = float(np.median(corners))
    bright = float(np.percentile(light, 95))
    # The corners are retina, or too little stands out from them to be told from noise.
    if floor > 0.4 * bright or bright - floor < LEAST_CONTRAST:
        return whole
    mask = light > floor + max(3.0, 0.15 * (bright - floor))
    rows, columns = _extent(mask.mean(axis=1)), _extent(mask.mean(axis=0))
    if rows is None or columns is None:
        return whole
    top, bottom = int(rows[0] * scale), min(height, round(rows[1] * scale))
    left, right = int(columns[0] * scale), min(width, round(columns[1] * scale))
    tall, wide = bottom - top, right - left
    if tall < 0.4 * height or wide < 0.4 * width or max(tall, wide) > MOST_OBLONG * min(tall, wide):
        return whole
    return top, bottom, left, right


def _extent(share: np.ndarray) -> tuple[int, int] | None:
    """First and last + 1 position where more than 4 % of a line is disc."""
    inside = np.flatnonzero(share > 0.04)
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else None


def pad_to_square(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) centred on black, (S, S, 3) with S = max(H, W)."""
    height, width = image.shape[:2]
    vertical, horizontal = max(0, width - height), max(0, height - width)
    return cv2.copyMakeBorder(
        image,
        vertical // 2,
        vertical - vertical // 2,
        horizontal // 2,
        horizontal - horizontal // 2,
        cv2.BORDER_CONSTANT,
        value=(0, 0, 0),
    )
