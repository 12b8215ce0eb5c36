"""Memory use of decoding: 16-bit files, and large pictures on many threads."""

import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from dr_ovo.photographs import image_decoding
from dr_ovo.photographs.image_decoding import LARGE_AT_ONCE, decode_bytes, decoded_pixels, room_for


def encoded(image: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_every_one_of_65536_levels_becomes_the_nearest_of_256(suffix):
    levels = np.arange(65536, dtype=np.uint16)
    image = decode_bytes(encoded(levels.reshape(256, 256), suffix), 64)
    expected = (levels / 257).round().astype(np.uint8)
    for channel in range(3):
        assert np.array_equal(image[..., channel].ravel(), expected)


def test_sixteen_bits_take_little_more_than_they_are():
    data = encoded(np.zeros((1000, 1500, 3), np.uint16), ".png")
    tracemalloc.start()
    decode_bytes(data, 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 13 * 1000 * 1500  # 6 as decoded, 3 at 8 bits, 3 as RGB


@pytest.mark.parametrize(
    ("suffix", "size", "expected"),
    [(".png", 32, 800 * 600), (".jpg", 32, 100 * 75), (".jpg", 600, 800 * 600)],
)
def test_the_pixels_that_decoding_gives(suffix, size, expected):
    data = encoded(np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8), suffix)
    assert decoded_pixels(data, size) == expected
    assert decode_bytes(data, size)[..., 0].size == expected


def test_pixels_of_a_format_without_a_header_that_we_read():
    data = encoded(np.zeros((600, 800, 3), np.uint8), ".bmp")
    assert decoded_pixels(data, 32) == pytest.approx(800 * 600, rel=0.01)
    assert decoded_pixels(b"", 32) == 0


@pytest.mark.parametrize(("side", "max_inside"), [(200, LARGE_AT_ONCE), (100, 6)])
def test_few_threads_hold_large_pictures_at_a_time(monkeypatch, side, max_inside):
    monkeypatch.setattr(image_decoding, "LARGE_PIXELS", 20_000)
    data = encoded(np.zeros((side, side, 3), np.uint8), ".png")
    lock, inside, seen = threading.Lock(), [0], []

    def hold(_: int) -> None:
        with room_for(data, 32):
            with lock:
                inside[0] += 1
                seen.append(inside[0])
            time.sleep(0.05)
            with lock:
                inside[0] -= 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(hold, range(6)))
    assert len(seen) == 6
    assert max(seen) == max_inside


def test_room_is_given_back_after_a_failure(monkeypatch):
    monkeypatch.setattr(image_decoding, "LARGE_PIXELS", 0)
    data = encoded(np.zeros((20, 20, 3), np.uint8), ".png")
    for _ in range(LARGE_AT_ONCE + 1):
        with pytest.raises(ValueError, match="bad"), room_for(data, 32):
            raise ValueError("bad")
