"""Photograph file -> uint8 RGB; what is damaged is refused with its reason."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import cv2
import numpy as np

MIN_SIDE = 16  # pixels; below this no picture shows a fundus
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
JPEG_SCAN = 0xDA
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
LONGEST_TAIL = 65536  # bytes that some cameras write after the end of the picture
LARGE_PIXELS = 16_000_000  # decoded; 10 bytes each at 16 bits, 6 at 8
LARGE_AT_ONCE = 2
REDUCTIONS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


_large = threading.BoundedSemaphore(LARGE_AT_ONCE)


class DamagedImage(ValueError):
    """A file that can't be read as a photograph; the text says why."""


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
        flags = REDUCTIONS[reduction(data, size)]
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
        # The nearest of 256 levels, as dividing and rounding give it, without numbers of 64 bits.
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
    elif image.dtype != np.uint8:
        raise DamagedImage(f"holds {image.dtype} pixels; 8 or 16 bits are expected")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def reduction(data: bytes, size: int) -> int:
    """By how much a file with this content is shrunk as it is decoded: 8, 4, 2 or 1.

    A JPEG by as much as leaves 1.5 times `size`, so that cropping still shrinks; others not.
    """
    side = min(_jpeg_sides(data)) if data.startswith(JPEG_START) else 0
    fitting = [factor for factor in REDUCTIONS if side // factor >= 1.5 * max(size, MIN_SIDE)]
    return max(fitting, default=1)


@contextmanager
def room_for(data: bytes, size: int) -> Iterator[None]:
    """Within it, a file with this content may be decoded at `size`: of those that make a large
    picture, threads hold LARGE_AT_ONCE at a time, so that many cores don't fill the memory."""
    with _large if decoded_pixels(data, size) > LARGE_PIXELS else nullcontext():
        yield


def decoded_pixels(data: bytes, size: int) -> int:
    """Pixels of the picture that decoding a file with this content gives.

    Of a JPEG or PNG by its header; of others, which are seldom compressed much, as if each pixel
    took three bytes.
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
