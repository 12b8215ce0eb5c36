"""Judges the content of a file once, before it is used: is it a whole picture of a usable size?"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2

from dr_ovo.photographs.content import strict_decoding
from dr_ovo.photographs.content.file_header import format_of, sides_of, too_large
from dr_ovo.photographs.content.jpeg_segments import jpeg_frame, jpeg_scans
from dr_ovo.photographs.content.strict_decoding import check_tiff, jpeg_remark
from dr_ovo.photographs.damage import Damage, DamagedImage, InnerDamage
from dr_ovo.photographs.image_decoding import MIN_SIDE, check_complete, decode_bytes, room_for

PROBE_SIDE = 64  # pixels; JPEGs are decoded at an eighth where that leaves more
MAX_SCANS = 100  # of a JPEG; programs write about ten
# Verdicts of another judge don't count; increase the number when the rules change.
JUDGE = (
    f"1, OpenCV {cv2.__version__}, Pillow {version('pillow')}, "
    f"{'simplejpeg' if strict_decoding.simplejpeg else 'no simplejpeg'}"
)


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a content: `damage` ("" where it can be used), and a `remark` on one that
    can. `decodes`: OpenCV makes a picture of it all the same. `pixels` are as in its header.
    `too_large`: it is above the limit of the size, and nothing else is known of it."""

    pixels: int = 0
    damage: str = ""
    decodes: bool = True
    remark: str = ""
    too_large: bool = False

    def within(self, max_megapixels: float) -> Verdict:
        """The verdict under this limit of the size."""
        reason = too_large(self.pixels, max_megapixels)
        return Verdict(self.pixels, reason, too_large=True) if reason else self


def damage_of(path: Path, verdict: Verdict) -> Damage | None:
    """The damage of a file with this verdict on its content; None where there is none."""
    return Damage(path, verdict.damage, verdict.decodes) if verdict.damage else None


def judge(data: bytes, max_megapixels: float, *, probe: bool = True) -> Verdict:
    """The verdict on the content of a file; a picture above the limit is not decoded at all.

    `probe`: decode what is not a JPEG, to see whether it can be; not needed where that follows.
    Raises MemoryError.
    """
    try:
        check_complete(data)
        height, width = sides_of(data)
    except DamagedImage as error:
        return Verdict(damage=str(error), decodes=False)
    pixels = height * width
    if reason := too_large(pixels, max_megapixels):
        return Verdict(pixels, reason, too_large=True)
    if reason := _too_many_scans(data):
        return Verdict(pixels, reason)
    with room_for(data, PROBE_SIDE):
        try:
            return Verdict(pixels, remark=_remark(data, probe=probe))
        except DamagedImage as error:
            return Verdict(pixels, str(error), decodes=isinstance(error, InnerDamage))


def _remark(data: bytes, *, probe: bool) -> str:
    """What is odd about a whole picture; "" for nothing. Raises DamagedImage."""
    form = format_of(data)
    remark = jpeg_remark(data) if form == "JPEG" else None
    if form == "TIFF":
        check_tiff(data)
    if (remark is None and probe) or min(sides_of(data)) < MIN_SIDE:
        decode_bytes(data, PROBE_SIDE)
    return remark or ""


def _too_many_scans(data: bytes) -> str:
    """Why a JPEG would take minutes to decode, however small its file; "" if not."""
    if format_of(data) != "JPEG" or not jpeg_frame(data).in_scans:
        return ""
    count = jpeg_scans(data).count
    return f"has {count} scans; expected at most {MAX_SCANS}" if count > MAX_SCANS else ""
