"""Decodes a photograph file to uint8 RGB: formats, bit depths, JPEG scaling, damage checks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import cv2
import numpy as np

MIN_SIDE = 16  # pixels; a smaller picture shows no fundus
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
JPEG_SCAN = 0xDA
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
LONGEST_TAIL = 65536  # bytes that may follow the end of the picture; some cameras append data
LARGE_PIXELS = 16_000_000  # once decoded; takes 10 bytes per pixel at 16 bits, 6 at 8
LARGE_AT_ONCE = 2
REDUCTIONS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


_large_pictures = threading.BoundedSemaphore(LARGE_AT_ONCE)


class DamagedImage(ValueError):
    """A file that can't be read as a photograph; the message says why."""


def decode_image(path: Path, size: int) -> np.ndarray:
    """The file as (H, W, 3) uint8 RGB; a JPEG much larger than `size` is decoded at reduced scale.

    Accepts 8- and 16-bit files in grey, colour and RGBA. Raises DamagedImage.
    """
    return decode_bytes(read_bytes(path), size)


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises DamagedImage where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedImage(f"can't be read: {error.strerror}") from None


def decode_bytes(data: bytes, size: int) -> np.ndarray:
    """As `decode_image`, from the content of a file. Raises DamagedImage."""
    check_complete(data)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    if data.startswith(JPEG_START):
        flags = REDUCTIONS[reduction(data, size)]
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise DamagedImage(f"can't be decoded: {error.err}") from None
    if image is None:
        raise DamagedImage("can't be decoded as an image")
    if min(image.shape[:2]) < MIN_SIDE:
        height, width = image.shape[:2]
        raise DamagedImage(f"only {width}x{height} pixels (at least {MIN_SIDE} per side)")
    if image.dtype == np.uint16:
        # The nearest of 256 levels, as by dividing and rounding, but without 64-bit intermediates.
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
    elif image.dtype != np.uint8:
        raise DamagedImage(f"has {image.dtype} pixels; expected 8 or 16 bits")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def reduction(data: bytes, size: int) -> int:
    """The factor by which a file with this content is shrunk during decoding: 8, 4, 2 or 1.

    A JPEG keeps at least 1.5 times `size`, so that resizing after the crop still shrinks. Other
    formats are not shrunk.
    """
    side = min(_jpeg_sides(data)) if data.startswith(JPEG_START) else 0
    fitting = [factor for factor in REDUCTIONS if side // factor >= 1.5 * max(size, MIN_SIDE)]
    return max(fitting, default=1)


@contextmanager
def room_for(data: bytes, size: int) -> Iterator[None]:
    """Decode a file with this content at `size` inside this context.

    No more than LARGE_AT_ONCE threads are inside with a large picture at a time, so that decoding
    on many cores does not exhaust the memory.
    """
    with _large_pictures if decoded_pixels(data, size) > LARGE_PIXELS else nullcontext():
        yield


def decoded_pixels(data: bytes, size: int) -> int:
    """The number of pixels that decoding a file with this content gives.

    Read from the header of a JPEG or PNG. Other formats are seldom compressed much: three bytes
    per pixel are assumed.
    """
    if data.startswith(JPEG_START):
        height, width = _jpeg_sides(data)
        return height * width // reduction(data, size) ** 2
    if data.startswith(PNG_START):
        return int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")
    return len(data) // 3


def check_complete(data: bytes) -> None:
    """Raises DamagedImage for an empty file and for a JPEG or PNG that was cut off.

    Decoders fill the missing part of such a picture with grey and report nothing.
    """
    if not data:
        raise DamagedImage("is empty (zero bytes)")
    tail = max(0, len(data) - LONGEST_TAIL)
    if data.startswith(JPEG_START):
        # Search after the headers: their thumbnail has its own end marker.
        scan = next((at for marker, at in jpeg_segments(data) if marker == JPEG_SCAN), 0)
        if JPEG_END not in data[max(scan, tail) :]:
            raise DamagedImage("is truncated: the end of the JPEG is missing")
    if data.startswith(PNG_START) and PNG_END not in data[tail:]:
        raise DamagedImage("is truncated: the end of the PNG is missing")


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """(marker, offset of its content) of each segment of a JPEG up to the first scan."""
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
    """Full height and width in pixels of the picture that `image` was decoded from."""
    height, width = image.shape[:2]
    sides = _jpeg_sides(data) if data.startswith(JPEG_START) else (0, 0)
    if not all(sides):
        return height, width
    # The header has the sides before the EXIF orientation is applied.
    return sides if (sides[0] > sides[1]) == (height > width) else (sides[1], sides[0])


def _jpeg_sides(data: bytes) -> tuple[int, int]:
    """Height and width in pixels from the JPEG's frame header; zeros where there is none."""
    for marker, at in jpeg_segments(data):
        # SOF0-SOF15 hold the size; C4, C8 and CC are tables with numbers in that range.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = data[at + 1 : at + 3], data[at + 3 : at + 5]
            return int.from_bytes(height, "big"), int.from_bytes(width, "big")
    return 0, 0
