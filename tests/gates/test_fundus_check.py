"""What is taken for a photograph of a fundus, and what is not, and why."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.gate_pictures.altered import ALTERED, MIRRORED_AND_TURNED
from benchmarks.gate_pictures.ordinary import KINDS, LATER, drawn
from dr_ovo.gates.field_of_view import FRAME, ROUND, find_field
from dr_ovo.gates.fundus_check import check_fundus
from dr_ovo.synthetic.fundus import draw_fundus
from tests.fixtures.slow import slow

# A red thing with lighter parts and soft edges looks like retina to these measures.
PASS = {"tomato"}


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return draw_fundus(2, "left", 320, 5, 7)[0]


@pytest.fixture(scope="module")
def ordinary() -> dict[str, np.ndarray]:
    return drawn(1) | drawn(1, LATER)


@pytest.mark.parametrize("grade", range(5))
@pytest.mark.parametrize("size", [64, 128, *slow(512)])
def test_drawn_photographs_pass(grade, size):
    for seed in range(2):
        check = check_fundus(draw_fundus(grade, "right", size, seed, seed + 50)[0])
        assert check.is_fundus, check.reason


# The drawn retina has no blue to spare, and its lesions are sharper than scars.
@pytest.mark.parametrize("name", [name for name in ALTERED if name != "three times the light"])
def test_an_altered_photograph_passes(photograph, name):
    check = check_fundus(ALTERED[name](photograph))
    assert check.is_fundus, check.reason


@pytest.mark.parametrize("name", sorted((KINDS.keys() | LATER) - PASS))
def test_other_pictures_are_stopped(ordinary, name):
    check = check_fundus(ordinary[f"{name} 0"])
    assert not check.is_fundus
    assert check.reason


@pytest.mark.parametrize("name", MIRRORED_AND_TURNED)
def test_a_cut_off_disc_is_round_however_it_is_turned(photograph, name):
    field = find_field(MIRRORED_AND_TURNED[name](photograph[40:-40]))
    assert field.shape == ROUND
    # The circle is that of the whole disc, though the frame cuts it off.
    whole = find_field(photograph).diameter
    assert field.diameter == pytest.approx(whole, rel=0.05)


def test_a_photograph_of_a_scene_is_stopped():
    images = pytest.importorskip("sklearn.datasets").load_sample_images().images
    for image in images:
        assert not check_fundus(image).is_fundus


def test_the_reason_says_what_was_measured(ordinary):
    assert check_fundus(ordinary["plain black 0"]).reason == "the picture is black"
    assert check_fundus(ordinary["oct 0"]).reason == "no colour, and no round field of view"
    assert (
        "one colour in lighter and darker shades" in check_fundus(ordinary["brown ball 0"]).reason
    )
    assert "areas of exactly one colour" in check_fundus(ordinary["sign on black 0"]).reason or (
        check_fundus(ordinary["sign on black 0"]).values["red_green"] > 1.35
    )


def test_a_scene_around_the_field_is_no_ground(photograph):
    field = find_field(photograph)
    assert (field.ground, field.ground_colour) == pytest.approx((0, 0), abs=0.05)
    dark = photograph.max(axis=2, keepdims=True) < 20
    shade = np.random.default_rng(0).uniform(0.7, 1.3, dark.shape)
    wall = np.where(dark, (shade * [10, 60, 50]).astype(np.uint8), photograph)
    assert find_field(wall).ground_colour > 0.14
    assert "no plain dark one" in check_fundus(wall).reason
    blocks = np.random.default_rng(0).choice([10, 45], (16, 16)).repeat(20, 0).repeat(20, 1)
    blocks[:20], blocks[-20:] = 28, 28
    uneven = np.where(dark, blocks[..., None].astype(np.uint8), photograph)
    assert find_field(uneven).ground > 0.15
    assert "no plain dark one" in check_fundus(uneven).reason
    # A camera's black may be lifted: it is even, and grey.
    lifted = np.maximum(photograph, 40)
    assert check_fundus(lifted).is_fundus, check_fundus(lifted).reason


def test_a_part_of_another_colour_is_no_retina_but_a_cast_is_the_cameras(photograph):
    patched = photograph.copy()
    patched[120:200, 120:200] = patched[120:200, 120:200, ::-1]
    assert "parts that are green or blue" in check_fundus(patched).reason
    cast = (photograph * np.array([0.9, 0.9, 2.2])).clip(0, 255).astype(np.uint8)
    assert check_fundus(cast).is_fundus


def test_a_speck_in_a_picture_is_no_field_of_view(photograph):
    small = cv2.resize(photograph, (100, 100), interpolation=cv2.INTER_AREA)
    picture = np.zeros((550, 550, 3), np.uint8)
    picture[200:300, 200:300] = small
    assert "a speck" in check_fundus(picture).reason
    assert check_fundus(picture[100:400, 100:400]).is_fundus


def test_a_square_of_light_is_no_round_field():
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[40:160, 40:160] = (180, 90, 40)
    assert find_field(picture).shape == FRAME


@pytest.mark.parametrize("sides", [(16, 16), (16, 400), (400, 16), (17, 31)])
def test_pictures_of_any_sides_get_a_verdict(sides):
    rng = np.random.default_rng(0)
    for picture in (rng.integers(0, 256, (*sides, 3)), np.full((*sides, 3), 200)):
        assert not check_fundus(picture.astype(np.uint8)).is_fundus
