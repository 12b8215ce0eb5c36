"""Maps and masks follow a photograph into the network's input and back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dr_ovo.photographs.geometry import Geometry
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.preprocessing import Preprocessing

SIZE = 64
PLAIN = Preprocessing(SIZE, clahe=False)


def photograph(height: int, width: int, spot: tuple[int, int], radius: int = 4) -> np.ndarray:
    """A grey disc in the middle of black, with a white spot at (x, y)."""
    picture = np.zeros((height, width, 3), np.uint8)
    cv2.circle(picture, (width // 2, height // 2), min(height, width) * 45 // 100, (90, 90, 90), -1)
    cv2.circle(picture, spot, radius, (255, 255, 255), -1)
    return picture


def centre(values: np.ndarray) -> tuple[float, float]:
    """The centre (x, y) of what is bright in (H, W), in shares of its sides."""
    rows, columns = np.nonzero(values > values.max() / 2)
    height, width = values.shape
    return (columns.mean() + 0.5) / width, (rows.mean() + 0.5) / height


SHAPES = [(300, 300), (240, 400), (400, 240), (301, 263)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("crop", [True, False])
def test_a_spot_in_the_input_lies_where_it_is_in_the_photograph(shape, crop):
    height, width = shape
    spot = width // 2 + 30, height // 2 - 40
    image = photograph(height, width, spot)
    steps = Preprocessing(SIZE, clahe=False, disc_crop=crop)
    seen = steps.apply(image).astype(float)[..., 1]
    back = steps.geometry(image).to_photograph(seen, height, width)
    where = centre(np.where(back > 150, back, 0))
    assert np.allclose(where, ((spot[0] + 0.5) / width, (spot[1] + 0.5) / height), atol=0.012)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_lies_in_the_input_where_its_spot_does(shape):
    height, width = shape
    spot = width // 2 - 45, height // 2 + 25
    image = photograph(height, width, spot, 6)
    mask = (image[..., 0] == 255).astype(np.uint8)
    seen = PLAIN.apply(image)[..., 0]
    found = PLAIN.geometry(image).to_input(mask, SIZE)
    assert found.dtype == np.uint8
    assert np.allclose(centre(found), centre(np.where(seen > 150, seen, 0)), atol=0.012)


def test_a_mask_may_have_another_resolution_than_the_photograph():
    image = photograph(300, 420, (250, 100), 12)
    mask = (image[..., 0] == 255).astype(np.uint8)
    half = cv2.resize(mask, (210, 150), interpolation=cv2.INTER_NEAREST)
    geometry = PLAIN.geometry(image)
    whole, small = (centre(geometry.to_input(one, SIZE)) for one in (mask, half))
    assert np.allclose(whole, small, atol=0.01)


def test_nothing_is_drawn_where_the_network_saw_nothing():
    image = photograph(240, 400, (200, 120))
    geometry = PLAIN.geometry(image)
    drawn = geometry.to_photograph(np.ones((2, 2)), 240, 400)
    top, bottom, left, right = PLAIN._crop(image)
    expected = np.zeros((240, 400))
    expected[top:bottom, left:right] = 1
    assert np.array_equal(drawn, expected)
    assert drawn[:, :60].max() == 0  # black beside the disc, which the crop leaves out
    assert np.array_equal(geometry.seen(240, 400), expected > 0)


def test_a_photograph_without_a_disc_is_padded():
    bright = np.full((100, 200, 3), 200, np.uint8)
    geometry = PLAIN.geometry(bright)
    assert geometry == Geometry.of_crop((0, 100, 0, 200), bright.shape)
    assert (geometry.square.top, geometry.square.bottom) == (-0.5, 1.5)
    column = geometry.to_photograph(np.repeat([[0.0], [1.0], [2.0], [3.0]], 4, 1), 100, 200)[:, 0]
    # The upper half of the photograph lies in the second cell, the lower one in the third.
    assert np.allclose(column[[24, 25, 74, 75]], [0.99, 1.01, 1.99, 2.01], atol=0.02)
    mask = np.ones((10, 20), np.uint8)
    found = geometry.to_input(mask, 8)
    assert found[:2].sum() == found[6:].sum() == 0
    assert found[2:6].all()


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_photograph_is_mapped_as_it_is_seen(orientation, tmp_path: Path):
    spot = 250, 90
    upright = photograph(300, 400, spot, 10)
    turns = {3: 2, 6: 1, 8: 3}[orientation]  # quarter turns, counter-clockwise, of what is stored
    stored = np.rot90(upright, turns)
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(path, quality=95, exif=exif)
    image = decode_image(path, SIZE)
    seen = PLAIN.apply(image).astype(float)[..., 1]
    back = PLAIN.geometry(image).to_photograph(seen, 300, 400)
    where = centre(np.where(back > 150, back, 0))
    assert np.allclose(where, ((spot[0] + 0.5) / 400, (spot[1] + 0.5) / 300), atol=0.012)


def test_a_jpeg_at_a_reduced_scale_has_the_same_geometry(tmp_path: Path):
    image = photograph(1200, 1600, (1000, 500), 30)
    path = tmp_path / "large.jpg"
    Image.fromarray(image).save(path, quality=95)
    small = decode_image(path, SIZE)
    assert small.shape[0] < image.shape[0]
    first, second = PLAIN.geometry(image), PLAIN.geometry(small)
    assert np.allclose(first.crop, second.crop, atol=0.01)
    assert np.allclose(first.square, second.square, atol=0.01)
