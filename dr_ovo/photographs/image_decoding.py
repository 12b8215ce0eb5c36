"""Decodes a photograph file to uint8 RGB: formats, bit depths, JPEG scaling, damage checks."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import cv2
import numpy as np

from dr_ovo.photographs.content.file_header import PNG_START, format_of, sides_of
from dr_ovo.photographs.content.jpeg_segments import (
    JPEG_END,
    JPEG_START,
    SCAN,
    jpeg_frame,
    jpeg_scans,
    jpeg_segments,
)
from dr_ovo.photographs.damage import DamagedImage

MIN_SIDE = 16  # pixels; a smaller picture shows no fundus
MAX_BYTES = 2 << 30  # of a file; 100 megapixels take 0.6 GB uncompressed at 16 bits
PNG_END = b"IEND"
FIRST_BYTES = 256  # of a file, which tell its format
LAST_BYTES = 1024  # of a file, in which its end marker is looked for first
NO_MEMORY = -4  # OpenCV's code for it
LARGE_PIXELS = 16_000_000  # once decoded; takes 10 bytes per pixel at 16 bits, 6 at 8
LARGE_AT_ONCE = 2
REDUCTIONS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


# Photographs are shared out to threads and processes; OpenCV's own threads would only compete.
cv2.setNumThreads(1)

_large_pictures: AbstractContextManager[object] = threading.BoundedSemaphore(LARGE_AT_ONCE)


def decode_image(path: Path, size: int) -> np.ndarray:
    """The file as (H, W, 3) uint8 RGB; a JPEG much larger than `size` is decoded at reduced scale.

    Accepts 8- and 16-bit files in grey, colour and RGBA. Raises DamagedImage.
    """
    return decode_bytes(read_bytes(path), size)


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises DamagedImage where it can't be read, or is not a file.

    A pipe or device is not even opened, nor what the system makes up while it is read: that may
    never end. Of a file in another format, only the first bytes are read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DamagedImage("is not a regular file")
        if status.st_size == 0:
            raise DamagedImage("is empty (zero bytes)")
        if status.st_size > MAX_BYTES:
            size = status.st_size >> 20
            raise DamagedImage(f"has {size} MiB; expected at most {MAX_BYTES >> 20}")
        with path.open("rb") as file:
            start = file.read(FIRST_BYTES)
            format_of(start)
            return start + file.read()
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
        if error.code == NO_MEMORY:
            raise MemoryError(error.err) from None
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
    on many cores does not exhaust the memory; nor processes that `share_room`.
    """
    with _large_pictures if decoded_pixels(data, size) > LARGE_PIXELS else nullcontext():
        yield


def share_room(turns: AbstractContextManager[object]) -> None:
    """Has this process decode large pictures inside `turns`, which other processes have too."""
    global _large_pictures
    _large_pictures = turns


def decoded_pixels(data: bytes, size: int) -> int:
    """The number of pixels that a decoder holds of a file with this content, by its header.

    A JPEG in several scans is held at full size, whatever the scale at which it is decoded. Zero
    for a file that can't be decoded.
    """
    try:
        height, width = sides_of(data)
    except DamagedImage:
        return 0
    if data.startswith(JPEG_START) and not jpeg_frame(data).in_scans:
        return height * width // reduction(data, size) ** 2
    return height * width


def check_complete(data: bytes) -> None:
    """Raises DamagedImage for an empty file and for a JPEG or PNG that was cut off.

    Decoders fill the missing part of such a picture with grey and report nothing. Anything may
    follow the end of the picture: some cameras append data.
    """
    if not data:
        raise DamagedImage("is empty (zero bytes)")
    if data.startswith(JPEG_START) and not _jpeg_ends(data):
        raise DamagedImage("is truncated: the end of the JPEG is missing")
    if data.startswith(PNG_START) and PNG_END not in data[-LAST_BYTES:] and not _png_ends(data):
        raise DamagedImage("is truncated: the end of the PNG is missing")


def _jpeg_ends(data: bytes) -> bool:
    if not any(marker == SCAN for marker, _ in jpeg_segments(data)):
        return JPEG_END in data  # it has no picture at all, which is not to be called truncated
    return data.endswith(JPEG_END) or jpeg_scans(data).end is not None


def _png_ends(data: bytes) -> bool:
    """Whether the chunks of a PNG lead to its last one, whatever follows it."""
    position = len(PNG_START)
    while position + 8 <= len(data):
        if data[position + 4 : position + 8] == PNG_END:
            return True
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return False


def full_sides(data: bytes, image: np.ndarray) -> tuple[int, int]:
    """Full height and width in pixels of the picture that `image` was decoded from."""
    height, width = image.shape[:2]
    sides = _jpeg_sides(data) if data.startswith(JPEG_START) else (0, 0)
    if not all(sides):
        return height, width
    # The header has the sides before the EXIF orientation is applied.
    return sides if (sides[0] > sides[1]) == (height > width) else (sides[1], sides[0])


def _jpeg_sides(data: bytes) -> tuple[int, int]:
    frame = jpeg_frame(data)
    return frame.height, frame.width
