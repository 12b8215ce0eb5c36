"""Finds damage inside a JPEG or TIFF that OpenCV decodes without a word: it fills what is lost."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping
from typing import Any

from dr_ovo.photographs.content.file_header import tiff_tags
from dr_ovo.photographs.content.jpeg_segments import JPEG_END, jpeg_scans
from dr_ovo.photographs.damage import InnerDamage

try:
    import simplejpeg
except ImportError:  # it has no wheel for some machines
    simplejpeg = None

MAX_STRAY_BYTES = 64  # before the end marker: some cameras pad there, and nothing is lost
STRAY_BYTES = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
# What libjpeg's messages begin with where the compressed data is damaged. Any other error is a kind
# of JPEG that simplejpeg does not decode: OpenCV decides whether it can.
DAMAGED_DATA = ("Corrupt JPEG data", "Premature end of JPEG")
# Oddities of headers, after which every pixel is decoded as it was written.
HARMLESS = ("unknown JFIF revision", "Unknown Adobe color transform")
# Tags of TIFF: the compression; where its parts (strips, else tiles) begin, and their bytes.
COMPRESSION, PARTS = 259, ((273, 324), (279, 325))
LZW, DEFLATE = 5, (8, 32946)
UNPACKED_AT_ONCE = 1 << 24  # bytes


def jpeg_remark(data: bytes) -> str | None:
    """What is odd about a JPEG that is whole; "" for nothing. Raises InnerDamage.

    It is decoded at an eighth of its size, in which every byte of the compressed data takes part.
    None where that can't be done: without simplejpeg, and for a kind of JPEG unknown to it.
    """
    message = _warning(data)
    if not message:
        return message
    stray = STRAY_BYTES.search(message)
    if stray and int(stray[1]) <= MAX_STRAY_BYTES:
        # This may be the last of several warnings: without those bytes, none must be left.
        message = _warning(_without_bytes_before_end(data, int(stray[1]))) or ""
        if not message:
            return f"has {stray[1]} stray bytes before the end of its JPEG; every pixel is intact"
    if any(oddity in message for oddity in HARMLESS):
        return f"has an odd JPEG header ({message}); every pixel is intact"
    if message.startswith(DAMAGED_DATA):
        raise InnerDamage(f"is damaged inside: {message}")
    return None


def _warning(data: bytes) -> str | None:
    """libjpeg's last warning or error about a JPEG, "" for none; None without simplejpeg."""
    if simplejpeg is None:
        return None
    try:
        colours = simplejpeg.decode_jpeg_header(data)[2]
        simplejpeg.decode_jpeg(
            data,
            colorspace="CMYK" if colours in ("CMYK", "YCCK") else "GRAY",
            fastdct=True,
            fastupsample=True,
            min_height=1,
            min_width=1,
            strict=True,
        )
    except ValueError as error:
        return str(error)
    return ""


def _without_bytes_before_end(data: bytes, count: int) -> bytes:
    end = jpeg_scans(data).end
    return data if end is None else data[: end - len(JPEG_END) - count] + JPEG_END


def check_tiff(data: bytes) -> None:
    """Raises InnerDamage for a TIFF whose compressed data is damaged, as far as the checksums of
    deflate tell, and as Pillow notices in LZW."""
    tags = tiff_tags(data)
    if tags.get(COMPRESSION) in DEFLATE:
        _check_deflate(data, tags)
    elif tags.get(COMPRESSION) == LZW:
        _check_with_pillow(data)


def _check_deflate(data: bytes, tags: Mapping[int, Any]) -> None:
    offsets, counts = (tags.get(tag) or tags.get(other) or () for tag, other in PARTS)
    for offset, count in zip(offsets, counts, strict=False):
        unpacking = zlib.decompressobj()
        try:
            left = data[offset : offset + count]
            while left and not unpacking.eof:
                unpacking.decompress(left, UNPACKED_AT_ONCE)
                left = unpacking.unconsumed_tail
        except zlib.error as error:
            raise InnerDamage(f"is damaged inside: its TIFF data ({error})") from None
        if not unpacking.eof:
            raise InnerDamage("is damaged inside: a part of its TIFF data has no end")


def _check_with_pillow(data: bytes) -> None:
    from PIL import Image  # loaded for TIFF files alone

    Image.MAX_IMAGE_PIXELS = None  # our own limit was applied before
    try:
        picture = Image.open(io.BytesIO(data))
    except (OSError, ValueError):
        return  # a kind that Pillow does not decode
    try:
        picture.load()
    except OSError as error:
        raise InnerDamage(f"is damaged inside: its TIFF data can't be decoded ({error})") from None
    except (ValueError, SyntaxError):
        return  # likewise
