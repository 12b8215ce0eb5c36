"""The format of a picture file and its size in pixels, from its first bytes; size limits."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from dr_ovo.photographs.content.jpeg_segments import JPEG_START, jpeg_frame
from dr_ovo.photographs.damage import DamagedImage

MAX_BITS = 16  # per channel
PNG_START = b"\x89PNG\r\n\x1a\n"
# The formats that are read, by the bytes with which their files begin.
STARTS = {
    JPEG_START: "JPEG",
    PNG_START: "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    b"RIFF": "WebP",
}
# Others that are found under a photograph's name: bytes, offset, name.
FOREIGN = (
    (b"GIF8", 0, "GIF"),
    (b"%PDF", 0, "PDF"),
    (b"DICM", 128, "DICOM"),
    (b"ftyp", 4, "HEIC, AVIF or video"),
    (b"\0\0\0\x0cjP", 0, "JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"PK\x03\x04", 0, "ZIP"),
    (b"\x1f\x8b", 0, "gzip"),
    (b"<svg", 0, "SVG"),
    (b"<?xml", 0, "XML"),
    (b"<!DOCTYPE", 0, "web page"),
    (b"<html", 0, "web page"),
    (b"version https://git-lfs", 0, "Git LFS pointer"),
)
READ = "JPEG, PNG, TIFF, BMP or WebP"
TIFF_WIDTH, TIFF_HEIGHT, TIFF_BITS, TIFF_TILE = 256, 257, 258, (322, 323)
MAX_TEXTS = 100  # compressed texts in a PNG: decoders unpack each of them


def format_of(data: bytes) -> str:
    """The format by which a file is decoded, whatever its name. Raises DamagedImage for others."""
    for start, name in STARTS.items():
        if data.startswith(start) and (name != "WebP" or data[8:12] == b"WEBP"):
            return name
    for mark, offset, name in FOREIGN:
        if data[offset : offset + len(mark)] == mark:
            raise DamagedImage(f"contains a {name} file, not a {READ} picture")
    raise DamagedImage(f"can't be decoded as an image: it is no {READ} file")


def sides_of(data: bytes) -> tuple[int, int]:
    """Height and width in pixels of a picture, as its header says.

    Raises DamagedImage for a format that is not read, a header that can't be understood or has no
    size, and more than MAX_BITS a channel.
    """
    height, width = SIDES[format_of(data)](data)
    if not (height > 0 and width > 0):
        raise DamagedImage("can't be decoded: its header has no size")
    return height, width


def too_large(pixels: int, max_megapixels: float) -> str:
    """Why a picture of so many pixels is not read; "" where it is."""
    if pixels <= max_megapixels * 1e6:
        return ""
    return (
        f"has {pixels / 1e6:,.1f} megapixels: more than the {max_megapixels:g} that are read "
        "(--max_megapixels)"
    )


def _jpeg(data: bytes) -> tuple[int, int]:
    frame = jpeg_frame(data)
    return frame.height, frame.width


def _png(data: bytes) -> tuple[int, int]:
    if sum(data.count(kind) for kind in (b"zTXt", b"iTXt")) > MAX_TEXTS:
        raise DamagedImage(f"has more than {MAX_TEXTS} texts in it")
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def _bmp(data: bytes) -> tuple[int, int]:
    """A height below zero means rows from top to bottom; the oldest header has 16-bit sides."""
    if int.from_bytes(data[14:18], "little") == 12:
        return int.from_bytes(data[20:22], "little"), int.from_bytes(data[18:20], "little")
    width, height = data[18:22], data[22:26]
    sides = (int.from_bytes(side, "little", signed=True) for side in (height, width))
    rows, columns = map(abs, sides)
    return rows, columns


def _webp(data: bytes) -> tuple[int, int]:
    """By the kind of its first chunk: extended, lossless, lossy (RFC 9649)."""
    if data[12:16] == b"VP8X":
        width, height = data[24:27], data[27:30]
        return int.from_bytes(height, "little") + 1, int.from_bytes(width, "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = data[26:28], data[28:30]
    return int.from_bytes(height, "little") & 0x3FFF, int.from_bytes(width, "little") & 0x3FFF


def _tiff(data: bytes) -> tuple[int, int]:
    """Of the first page, which is the one that is decoded; of its tiles, if these are larger."""
    tags = tiff_tags(data)
    try:
        sides = int(tags[TIFF_HEIGHT]), int(tags[TIFF_WIDTH])
        bits = max(tags.get(TIFF_BITS, (1,)))
        tile = tuple(int(tags.get(tag, 0)) for tag in TIFF_TILE)
    except (KeyError, TypeError, ValueError):
        raise DamagedImage("has a TIFF header without a size") from None
    if bits > MAX_BITS:
        raise DamagedImage(f"has {bits} bits per channel; expected 8 or 16")
    return (tile[1], tile[0]) if tile[0] * tile[1] > sides[0] * sides[1] else sides


def tiff_tags(data: bytes) -> Mapping[int, Any]:
    """The tags of the first page of a TIFF. Raises DamagedImage where they can't be read."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2  # loaded for TIFF files alone

    try:
        big = data[2:3] == b"+" or data[3:4] == b"+"
        directory = ImageFileDirectory_v2(data[: 16 if big else 8])
        file = io.BytesIO(data)
        file.seek(directory.next)
        directory.load(file)
        return dict(directory)
    except Exception as error:  # its parser raises errors of many types
        reason = f"{type(error).__name__}: {error}"
        raise DamagedImage(f"has a TIFF header that can't be read ({reason})") from None


SIDES = {"JPEG": _jpeg, "PNG": _png, "BMP": _bmp, "WebP": _webp, "TIFF": _tiff}
