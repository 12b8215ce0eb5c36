"""Reads the structure of a JPEG without decoding it: segments, size, scans, and where it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
SCAN, END = 0xDA, 0xD9
# Frame headers, which have the size; C4, C8 and CC are tables with numbers in that range.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
WITHOUT_CONTENT = frozenset({0x01, *range(0xD0, 0xD9)})
# The next marker in compressed data, where FF 00 is a byte of data, and D0 to D7 belong to it. Of
# several FF, the last one counts; a repetition in the pattern would make long runs of them costly.
NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True)
class Frame:
    """The frame header of a JPEG: height and width in pixels as stored; zeros where it has none.

    `in_scans`: the picture comes in several scans, so that a decoder holds it at full size.
    """

    height: int = 0
    width: int = 0
    in_scans: bool = False


@dataclass(frozen=True)
class Scans:
    """The number of scans of a JPEG, and the offset behind its end marker (None: it has none)."""

    count: int
    end: int | None


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """(marker, offset of its content) of each segment of a JPEG up to the first scan."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in WITHOUT_CONTENT:
            position += 2
            continue
        yield marker, position + 4
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == SCAN or length < 2:
            return
        position += 2 + length


def jpeg_frame(data: bytes) -> Frame:
    """The frame header, before any EXIF orientation is applied."""
    found, components = Frame(), 0
    for marker, at in jpeg_segments(data):
        if marker in FRAMES:
            height, width = data[at + 1 : at + 3], data[at + 3 : at + 5]
            sides = int.from_bytes(height, "big"), int.from_bytes(width, "big")
            components = int.from_bytes(data[at + 5 : at + 6], "big")
            found = Frame(*sides, in_scans=marker in PROGRESSIVE)
        elif marker == SCAN and int.from_bytes(data[at : at + 1], "big") < components:
            return replace(found, in_scans=True)
    return found


def jpeg_scans(data: bytes) -> Scans:
    """Walks over all scans to the end marker, whatever follows it.

    Thumbnails in the headers, and further pictures behind the end, are not entered.
    """
    start = next((at for marker, at in jpeg_segments(data) if marker == SCAN), None)
    if start is None:
        return Scans(0, None)
    count, position = 1, start
    while found := NEXT_MARKER.search(data, position):
        marker, position = found[0][-1], found.end()
        if marker == END:
            return Scans(count, position)
        count += marker == SCAN
        if marker not in WITHOUT_CONTENT:
            position += int.from_bytes(data[position : position + 2], "big")
    return Scans(count, None)
