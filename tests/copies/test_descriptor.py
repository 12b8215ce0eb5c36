import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.alterations import equalised, half, rescaled
from dr_ovo.copies.descriptor import (
    DESCRIPTOR_SIDE,
    INVERSES,
    MARGIN,
    ORIENTATIONS,
    describe_picture,
    turned,
    view_of,
)
from dr_ovo.photographs.image_decoding import decode_image

ORIENTED = st.integers(0, len(ORIENTATIONS) - 1)


@pytest.fixture(scope="module")
def photographs(idrid_small) -> list[np.ndarray]:
    return [decode_image(path, 320) for path in sorted(idrid_small.glob("test/*/*.jpg"))]


def square(side: int = 5) -> np.ndarray:
    """A square whose eight orientations all differ."""
    return np.arange(side * side).reshape(side, side)


def test_the_eight_orientations_are_all_there_are():
    found = {turned(square(), k).tobytes() for k in range(len(ORIENTATIONS))}
    assert len(found) == len(ORIENTATIONS) == 8


@given(ORIENTED)
def test_an_orientation_is_undone_by_its_inverse(orientation):
    there = turned(square(), orientation)
    assert np.array_equal(turned(there, INVERSES[orientation]), square())


@given(ORIENTED, ORIENTED)
def test_two_orientations_in_turn_are_one(first, second):
    both = turned(turned(square(), first), second)
    assert any(np.array_equal(both, turned(square(), k)) for k in range(len(ORIENTATIONS)))


def test_orientations_do_what_their_names_say():
    left_to_right = np.array([[1, 2], [3, 4]])
    shown = {name: turned(left_to_right, k).tolist() for k, name in enumerate(ORIENTATIONS)}
    assert shown["turned by 90 degrees counterclockwise"] == [[2, 4], [1, 3]]
    assert shown["turned by 90 degrees clockwise"] == [[3, 1], [4, 2]]
    assert shown["flipped left to right"] == [[2, 1], [4, 3]]
    assert shown["flipped top to bottom"] == [[3, 4], [1, 2]]


@given(ORIENTED)
def test_many_squares_are_turned_like_one(orientation):
    several = np.stack([square(), square() ** 2])
    alone = np.stack([turned(one, orientation) for one in several])
    assert np.array_equal(turned(several, orientation), alone)


def test_a_descriptor_is_a_high_passed_disc_of_norm_1(photographs):
    for photograph in photographs[:5]:
        descriptor = describe_picture(photograph).astype(float)
        assert descriptor.shape == (DESCRIPTOR_SIDE**2,)
        assert np.linalg.norm(descriptor) == pytest.approx(1, abs=2e-3)
        assert descriptor.mean() == pytest.approx(0, abs=1e-3)
        corners = descriptor.reshape(DESCRIPTOR_SIDE, DESCRIPTOR_SIDE)[[0, 0, -1, -1], [0, -1] * 2]
        assert not corners.any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_without_anything_to_see_gives_zeros(level):
    plain = np.full((120, 160, 3), level, np.uint8)
    assert not describe_picture(plain).any()


@pytest.mark.parametrize("orientation", range(8))
def test_the_descriptor_of_a_turned_photograph_is_the_turned_descriptor(photographs, orientation):
    for photograph in photographs[:3]:
        own = describe_picture(photograph).reshape(DESCRIPTOR_SIDE, -1).astype(float)
        image = np.ascontiguousarray(
            np.stack([turned(photograph[..., c], orientation) for c in range(3)], axis=2)
        )
        found = describe_picture(image).reshape(DESCRIPTOR_SIDE, -1).astype(float)
        assert (turned(own, orientation) * found).sum() > 0.9


@pytest.mark.parametrize("alter", [half, equalised, rescaled(1.2), rescaled(0.8)])
def test_an_altered_photograph_is_more_like_itself_than_like_any_other(photographs, alter):
    base = np.stack([describe_picture(image) for image in photographs]).astype(float)
    altered = np.stack([describe_picture(alter(image)) for image in photographs]).astype(float)
    assert ((base @ altered.T).argmax(axis=0) == np.arange(len(photographs))).all()


@pytest.mark.parametrize("side", [64, 256])
def test_a_view_shows_the_disc_in_its_middle(side):
    image = np.zeros((300, 500, 3), np.uint8)
    cv2.circle(image, (180, 140), 120, (200, 120, 60), -1)
    view = view_of(image, side)
    assert len(view.picture) == side + 2 * round(MARGIN * side)
    rows, columns = (np.flatnonzero(view.disc.any(axis=axis)) for axis in (1, 0))
    for inside in (rows, columns):
        assert (inside[0] + inside[-1]) / 2 == pytest.approx(
            len(view.picture) / 2 - 0.5, abs=side / 64
        )
        assert len(inside) == pytest.approx(side, abs=side / 20)
    # The file ends 20 px above the disc, which is 240 px high, and further away elsewhere.
    beyond = np.flatnonzero(~view.visible.all(axis=1))
    assert len(beyond) == pytest.approx((MARGIN - 20 / 240) * side, abs=2 + side / 100)
