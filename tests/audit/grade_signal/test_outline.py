"""The outline of the disc, which filters leave where it is."""

import cv2
import numpy as np
import pytest

from benchmarks.alterations import ALTERATIONS
from dr_ovo.audit.grade_signal.outline import disc_outline
from dr_ovo.photographs.image_decoding import decode_image
from tests.conftest import real_data

FIXED_LEVEL, LINE_SHARE = 15, 0.02  # how the outlines of aptos_statistics were measured


def fixed_outline(image: np.ndarray) -> tuple[float, float]:
    """Shares of the frame in which at least 2 % of a column or row is brighter than 15."""
    inside = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) > FIXED_LEVEL
    found = [np.flatnonzero(inside.mean(axis=axis) >= LINE_SHARE) for axis in (0, 1)]
    return tuple((f[-1] + 1 - f[0]) / n for f, n in zip(found, inside.shape[::-1], strict=True))


def drawn(width: float, height: float, *, corners: int = 0, label: bool = False) -> np.ndarray:
    """A disc with the given shares of a frame of 320 x 240, on a surround of one level."""
    image = np.full((240, 320, 3), corners, np.uint8)
    axes = (round(160 * width), round(120 * height))
    cv2.ellipse(image, (160, 120), axes, 0, 0, 360, (150, 90, 60), -1)
    if label:
        cv2.putText(image, "OD 2019", (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (255, 255, 255))
    return image


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    paths = sorted(real_data("idrid").rglob("*.jpg"))[::8]
    return [decode_image(path, 512) for path in paths]


def test_real_outlines_are_those_at_a_fixed_level(photographs):
    assert len(photographs) > 50
    for image in photographs:
        assert disc_outline(image) == pytest.approx(fixed_outline(image), abs=0.01)
        square = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
        assert disc_outline(square) == pytest.approx(fixed_outline(square), abs=0.01)


@pytest.mark.parametrize("name", ["CLAHE 3.0", "brightness x 1.2", "contrast x 1.2"])
def test_filters_leave_the_outline_where_it_is(photographs, name):
    alter = ALTERATIONS[name]
    moved = [
        np.abs(np.subtract(disc_outline(alter(image)), disc_outline(image))).max()
        for image in photographs
    ]
    assert np.quantile(moved, 0.95) < 0.01
    assert max(moved) < 0.05


@pytest.mark.parametrize("corners", [0, 12, 60])
@pytest.mark.parametrize(("width", "height"), [(0.6, 0.8), (0.95, 0.9)])
def test_the_level_is_that_of_the_corners(corners, width, height):
    found = disc_outline(drawn(width, height, corners=corners))
    assert found == pytest.approx((width, height), abs=0.015)


def test_a_label_in_a_corner_is_no_disc():
    assert disc_outline(drawn(0.6, 0.8, label=True)) == pytest.approx((0.6, 0.8), abs=0.015)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_frame_without_an_outline_is_all_disc(level):
    assert disc_outline(np.full((60, 80, 3), level, np.uint8)) == (1.0, 1.0)


def test_a_disc_that_fills_the_frame():
    assert disc_outline(drawn(1.3, 1.3)) == pytest.approx((1.0, 1.0), abs=0.01)
