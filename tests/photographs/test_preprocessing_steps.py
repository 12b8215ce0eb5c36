"""The preprocessing steps on real and drawn photographs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dr_ovo.choices import PREPROCESSING_STEPS
from dr_ovo.photographs.disc import disc_region
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.preprocessing_steps import STEPS, ben_graham


def textured_disc(side: int = 300, radius: int = 150) -> np.ndarray:
    """A grey disc with noise on black, cut off by the frame where it is larger than the picture."""
    image = np.zeros((side, side, 3), np.uint8)
    cv2.circle(image, (side // 2, side // 2), radius, (120, 120, 120), -1)
    noise = np.random.default_rng(1).normal(0, 15, image.shape)
    return np.clip(image + (image > 0) * noise, 0, 255).astype(np.uint8)


def test_the_steps_are_those_that_the_settings_name():
    assert tuple(STEPS) == PREPROCESSING_STEPS


def test_inside_the_disc_it_is_grahams_formula():
    image = textured_disc()
    _, _, radius = disc_region(image)
    mean = cv2.GaussianBlur(image, (0, 0), radius / 30)
    expected = cv2.addWeighted(image, 4, mean, -4, 128)
    middle = np.s_[75:225, 75:225]
    difference = ben_graham(image)[middle].astype(int) - expected[middle]
    assert np.abs(difference).max() <= 3  # his rounds the mean to whole grey levels first


def test_beyond_nine_tenths_of_the_radius_all_is_neutral_grey():
    image = textured_disc()
    _, (x, y), radius = disc_region(image)
    assert radius == pytest.approx(150, abs=3)
    rows, columns = np.ogrid[:300, :300]
    distance = np.hypot(columns - x, rows - y) / radius
    result = ben_graham(image)
    assert (result[distance > 0.9] == 128).all()
    assert (result[distance < 0.88] != 128).mean() > 0.9


def test_a_disc_that_the_frame_cuts_off_has_no_seam():
    image = np.zeros((300, 300, 3), np.uint8)
    cv2.circle(image, (150, 150), 145, (60, 90, 160), -1)
    image[:60] = image[240:] = 0
    assert np.abs(ben_graham(image).astype(int) - 128).max() <= 1


def test_light_that_falls_off_slowly_is_taken_away(idrid_small):
    image = decode_image(next((idrid_small / "val" / "3").glob("*.jpg")), 224)
    side = image.shape[1]
    shade = np.linspace(0.7, 1.0, side)[None, :, None]
    plain, graham = (
        Preprocessing(224, clahe=False, ben_graham=flag) for flag in (False, True)
    )  # fmt: skip
    shaded = (image * shade).astype(np.uint8)
    left = np.s_[60:160, 30:80]
    seen = [
        np.abs(s.apply(shaded)[left].astype(float).mean() - s.apply(image)[left].mean())
        for s in (plain, graham)
    ]
    assert seen[0] > 8
    assert seen[1] < 1.5


def test_without_a_surround_the_whole_picture_is_the_disc():
    image = np.random.default_rng(0).integers(90, 160, (64, 64, 3), dtype=np.uint8)
    result = ben_graham(image)
    assert (result[0, 0] == 128).all()
    assert (result[32, 20:44] != 128).any()


@pytest.mark.parametrize("settings", [{}, {"clahe": False}, {"disc_crop": False}])
@pytest.mark.parametrize("side", [16, 28, 64])
def test_small_sizes_work(settings, side):
    image = textured_disc(60, 28)
    result = Preprocessing(side, ben_graham=True, **settings).apply(image)
    assert result.shape == (side, side, 3)
    assert result.dtype == np.uint8
