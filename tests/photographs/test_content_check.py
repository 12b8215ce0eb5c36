"""What is told from a file's content before it is used: format, size, damage, and its end."""

import io
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from dr_ovo.photographs.content import strict_decoding
from dr_ovo.photographs.content.file_header import format_of, sides_of
from dr_ovo.photographs.content.jpeg_segments import jpeg_frame, jpeg_scans
from dr_ovo.photographs.content_check import Verdict, judge
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import decode_bytes, decoded_pixels, read_bytes

LIMIT = 100.0
SIDES = (300, 401)
FORMATS = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "cmyk": ("JPEG", {}),
    "grey": ("JPEG", {}),
    "png": ("PNG", {}),
    "tiff": ("TIFF", {}),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff jpeg": ("TIFF", {"compression": "jpeg"}),
    "bigtiff": ("TIFF", {"big_tiff": True}),
    "bmp": ("BMP", {}),
    "webp": ("WEBP", {}),
    "webp lossless": ("WEBP", {"lossless": True}),
    "webp extended": ("WEBP", {"exif": b"Exif\0\0nothing"}),
}


def picture(sides=SIDES) -> np.ndarray:
    """A smooth synthetic picture (H, W, 3), as of a photograph's frequencies."""
    noise = np.random.default_rng(0).integers(0, 256, (*sides, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def encoded(kind: str, sides=SIDES) -> bytes:
    form, options = FORMATS[kind]
    image = Image.fromarray(picture(sides))
    image = image.convert({"cmyk": "CMYK", "grey": "L"}.get(kind, "RGB"))
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def zeroed(data: bytes, count: int, seed: int) -> bytes:
    """The same file with `count` zero bytes somewhere in its second half."""
    start = random.Random(seed).randrange(len(data) // 2, len(data) - count - 2)
    return data[:start] + bytes(count) + data[start + count :]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_file_of_each_format_is_sound_whatever_follows_it(kind):
    data = encoded(kind)
    assert sides_of(data) == SIDES
    assert decode_bytes(data, 64).shape[2] == 3
    for tail in (b"", bytes(100_000), b"\xff\xd8 a second picture"):
        assert judge(data + tail, LIMIT) == Verdict(SIDES[0] * SIDES[1])


@pytest.mark.parametrize("kind", FORMATS)
def test_half_a_file_of_each_format_is_damaged(kind):
    data = encoded(kind)
    assert judge(data[: len(data) // 2], LIMIT).damage


@pytest.mark.parametrize("kind", FORMATS)
def test_above_the_limit_nothing_is_decoded(kind, monkeypatch):
    def refuse(*_args: object) -> None:
        raise AssertionError("decoded")

    data = encoded(kind)
    monkeypatch.setattr(cv2, "imdecode", refuse)
    monkeypatch.setattr("dr_ovo.photographs.content_check.jpeg_remark", refuse)
    monkeypatch.setattr("dr_ovo.photographs.content_check.check_tiff", refuse)
    found = judge(data, 0.1)
    assert "0.1 megapixels: more than the 0.1 that are read" in found.damage
    assert found.decodes


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"GIF89a" + bytes(300), "GIF"),
        (b"%PDF-1.7" + bytes(300), "PDF"),
        (bytes(128) + b"DICM" + bytes(300), "DICOM"),
        (b"\0\0\0\x18ftypheic" + bytes(300), "HEIC"),
        (b"P6 30000 30000 255 " + bytes(300), "no JPEG, PNG, TIFF, BMP or WebP file"),
        (b"\x76\x2f\x31\x01" + bytes(300), "no JPEG, PNG, TIFF, BMP or WebP file"),
        (b"RIFF\0\0\0\0WAVE" + bytes(300), "no JPEG, PNG, TIFF, BMP or WebP file"),
        (b"<html><body>404", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
    ],
)
def test_another_format_under_a_photographs_name_is_named(content, name):
    found = judge(content, LIMIT)
    assert name in found.damage
    assert not found.decodes
    with pytest.raises(DamagedImage):
        format_of(content)


def png_of(width: int, height: int) -> bytes:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + header + bytes(4) + b"\0\0\0\0IEND\xaeB`\x82"


def test_a_small_file_of_a_gigapixel_is_refused_by_its_header():
    assert "1,024.0 megapixels" in judge(png_of(32_000, 32_000), LIMIT).damage
    tiff = bytearray(encoded("tiff"))
    for tag in (256, 257):
        at = tiff.index(tag.to_bytes(2, "little") + b"\x04\0\x01\0\0\0") + 8
        tiff[at : at + 4] = (20_000).to_bytes(4, "little")
    assert "400.0 megapixels" in judge(bytes(tiff), LIMIT).damage


def test_the_limit_itself_is_allowed():
    assert judge(encoded("png", (200, 500)), 0.1).damage == ""
    assert judge(encoded("png", (200, 501)), 0.1).damage != ""
    assert judge(encoded("png", (200, 501)), LIMIT).within(0.1).damage != ""
    assert judge(encoded("png", (200, 501)), LIMIT).within(0.2).damage == ""


def test_a_progressive_jpeg_counts_at_full_size():
    assert decoded_pixels(encoded("jpeg", (800, 800)), 32) == 100 * 100
    assert decoded_pixels(encoded("progressive", (800, 800)), 32) == 800 * 800


def test_a_jpeg_of_very_many_scans_is_refused():
    data = encoded("progressive")
    count, start = jpeg_scans(data).count, data.rindex(b"\xff\xda")
    end = jpeg_scans(data).end
    assert 3 < count < 20
    bomb = data[: end - 2] + data[start : end - 2] * 200 + data[end - 2 :]
    assert jpeg_scans(bomb).count == count + 200
    assert judge(bomb, LIMIT).damage.startswith(f"has {count + 200} scans")


class TestJpeg:
    def test_its_frame(self):
        assert jpeg_frame(encoded("jpeg")).in_scans is False
        assert jpeg_frame(encoded("progressive")).in_scans is True
        assert (jpeg_frame(b"\xff\xd8").height, jpeg_frame(b"\xff\xd8").width) == (0, 0)

    # The refining scans of a progressive JPEG may be bits that mean something whatever they are.
    @pytest.mark.parametrize(
        ("kind", "count"), [("jpeg", 500), ("cmyk", 500), ("jpeg", 4000), ("progressive", 4000)]
    )
    def test_zeroed_bytes_in_its_middle_are_damage(self, kind, count):
        data = encoded(kind, (700, 900))
        found = [judge(zeroed(data, count, seed), LIMIT) for seed in range(10)]
        assert all(verdict.damage.startswith("is damaged inside") for verdict in found)
        assert all(verdict.decodes for verdict in found)

    def test_the_end_is_behind_the_last_scan_not_in_a_thumbnail(self):
        data = encoded("jpeg")
        thumbnail = encoded("jpeg", (40, 40))
        segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
        with_thumbnail = data[:2] + segment + data[2:]
        assert judge(with_thumbnail, LIMIT).damage == ""
        assert jpeg_scans(with_thumbnail).end == len(with_thumbnail)
        cut = with_thumbnail[: len(with_thumbnail) * 3 // 4]
        assert "truncated" in judge(cut, LIMIT).damage
        # A second picture behind a cut one has an end, too, but not that of the first.
        assert judge(cut + bytes(1000), LIMIT).damage

    @pytest.mark.parametrize(("count", "damaged"), [(1, False), (64, False), (65, True)])
    def test_stray_bytes_before_its_end(self, count, damaged):
        data = encoded("jpeg")
        found = judge(data[:-2] + b"\x55" * (count + 8) + data[-2:], LIMIT)
        number = int("".join(filter(str.isdigit, found.remark or found.damage))[:2])
        # libjpeg reads up to eight bytes ahead, which it does not count as stray.
        assert count <= number <= count + 8
        assert bool(found.damage) == (number > 64) or damaged
        assert bool(found.remark) != bool(found.damage)

    def test_stray_bytes_do_not_hide_damage_before_them(self):
        data = zeroed(encoded("jpeg", (700, 900)), 500, seed=1)
        assert judge(data[:-2] + b"\x55" * 20 + data[-2:], LIMIT).damage

    def test_an_odd_revision_in_its_header_is_a_remark(self):
        data = encoded("jpeg").replace(b"JFIF\0\x01\x01", b"JFIF\0\x07\x01")
        found = judge(data, LIMIT)
        assert found.damage == ""
        assert "odd JPEG header" in found.remark

    def test_without_simplejpeg_it_is_decoded_once_as_before(self, monkeypatch):
        monkeypatch.setattr(strict_decoding, "simplejpeg", None)
        assert judge(encoded("jpeg"), LIMIT) == Verdict(SIDES[0] * SIDES[1])
        assert judge(zeroed(encoded("jpeg"), 500, 0), LIMIT).damage == ""
        assert "truncated" in judge(encoded("jpeg")[:2000], LIMIT).damage


@pytest.mark.parametrize("filling", [b"\xff", b"\x00", b"\xff\x00", b"\xff\xd0"])
def test_a_cut_jpeg_that_was_filled_up_is_judged_at_once(filling):
    # A pattern that goes back over runs of FF took hours for a megabyte of them.
    data = encoded("jpeg")
    assert "truncated" in judge(data[: len(data) // 2] + filling * 1_000_000, LIMIT).damage


@pytest.mark.parametrize("marker", [b"\xff\x01", b"\xff\xd0", b"\xff\xff"])
def test_markers_without_content_do_not_hide_the_size(marker):
    data = encoded("progressive", (800, 800))
    odd = data[:2] + marker + data[2:]
    assert sides_of(odd) == (800, 800)
    assert decoded_pixels(odd, 32) == 800 * 800
    assert "0.6 megapixels" in judge(odd, 0.1).damage


def test_a_jpeg_without_a_size_is_damaged():
    data = encoded("jpeg")
    frame = data.index(b"\xff\xc0")
    assert "no size" in judge(data[: frame + 5] + bytes(4) + data[frame + 9 :], LIMIT).damage


def test_a_tiff_counts_by_its_tiles_where_these_are_larger():
    file = io.BytesIO()
    extra = {65000: 30_000, 65001: 30_000}  # of no meaning, until they are renamed below
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in extra.items():
        tags[tag], tags.tagtype[tag] = value, 4
    Image.fromarray(picture((64, 64))).save(file, "TIFF", tiffinfo=tags)
    data = file.getvalue()
    for tag, name in zip(extra, (322, 323), strict=True):
        data = data.replace(
            tag.to_bytes(2, "little") + b"\x04\0", name.to_bytes(2, "little") + b"\x04\0"
        )
    assert "900.0 megapixels" in judge(data, LIMIT).damage


def test_a_png_full_of_packed_texts_is_refused():
    info = PngImagePlugin.PngInfo()
    for number in range(101):
        info.add_text(f"note {number}", "nothing " * 1000, zip=True)
    file = io.BytesIO()
    Image.fromarray(picture((64, 64))).save(file, "PNG", pnginfo=info)
    assert "more than 100 texts" in judge(file.getvalue(), LIMIT).damage


def test_a_lack_of_memory_is_no_damage(monkeypatch):
    def fail(*_args: object) -> None:
        error = cv2.error("Failed to allocate")
        error.code, error.err = -4, "Failed to allocate"
        raise error

    monkeypatch.setattr(cv2, "imdecode", fail)
    with pytest.raises(MemoryError):
        judge(encoded("png"), LIMIT)


def test_what_is_decoded_next_anyway_is_not_decoded_to_be_judged(monkeypatch):
    def refuse(*_args: object) -> None:
        raise AssertionError("decoded")

    data = encoded("png")
    monkeypatch.setattr(cv2, "imdecode", refuse)
    assert judge(data, LIMIT, probe=False) == Verdict(SIDES[0] * SIDES[1])


def test_a_file_of_the_system_is_not_read():
    # Reading it waits for the next message of the kernel.
    with pytest.raises(DamagedImage, match="zero bytes"):
        read_bytes(Path("/proc/self/mountinfo"))


@pytest.mark.parametrize("kind", ["tiff lzw", "tiff deflate", "png"])
def test_zeroed_bytes_are_found_where_the_format_shows_them(kind):
    data = encoded(kind)
    start = len(data) // 2
    assert judge(data[:start] + bytes(500) + data[start + 500 :], LIMIT).damage


def test_more_than_sixteen_bits_a_channel_are_refused_by_the_header():
    data = cv2.imencode(".tif", picture().astype(np.float32))[1].tobytes()
    assert judge(data, LIMIT).damage == "has 32 bits per channel; expected 8 or 16"
    sixteen = cv2.imencode(".tif", picture().astype(np.uint16))[1].tobytes()
    assert judge(sixteen, LIMIT) == Verdict(SIDES[0] * SIDES[1])


def test_a_picture_of_a_few_pixels_is_damaged():
    assert "only 10x10 pixels" in judge(encoded("jpeg", (10, 10)), LIMIT).damage
    assert "only 10x10 pixels" in judge(encoded("png", (10, 10)), LIMIT).damage
