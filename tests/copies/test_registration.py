import numpy as np
import pytest

from benchmarks.alterations import (
    another_exposure,
    cropped,
    equalised,
    half,
    in_turn,
    recompressed,
    rescaled,
)
from dr_ovo.copies.descriptor import DESCRIPTOR_SIDE, describe_picture
from dr_ovo.copies.near_duplicates import MAX_RIM, MAX_TURN, is_copy
from dr_ovo.copies.registration import (
    NO_FIT,
    CoarseAlignment,
    Registration,
    coarse_alignments,
    padded,
    register,
    registration_image,
    spectra,
)
from dr_ovo.photographs.image_decoding import decode_image
from tests.fixtures.slow import slow


@pytest.fixture(scope="module")
def photographs(idrid_small) -> list[np.ndarray]:
    return [decode_image(path, 320) for path in sorted(idrid_small.glob("val/*/*.jpg"))[:6]]


def fitted(first: np.ndarray, second: np.ndarray) -> tuple[CoarseAlignment, Registration]:
    """The coarse alignment and the registration of the second on the first."""
    moving = padded(describe_picture(second))
    (alignment,) = coarse_alignments(padded(describe_picture(first))[None], moving, spectra(moving))
    return alignment, register(registration_image(first), registration_image(second), alignment)


def test_a_photograph_fits_on_itself(photographs):
    for photograph in photographs:
        alignment, fit = fitted(photograph, photograph)
        found = (alignment.score, alignment.scale, alignment.across, alignment.down)
        assert found == pytest.approx((1, 1, 0, 0), abs=1e-3)
        assert (fit.score, fit.scale) == pytest.approx((1, 1), abs=1e-3)
        assert (fit.turn, fit.rim) == pytest.approx((0, 0), abs=1e-3)


@pytest.mark.parametrize(
    "alter",
    [half, in_turn(cropped(0.05), equalised), *slow(equalised, recompressed, rescaled(0.8))],
)
def test_an_altered_photograph_fits(photographs, alter):
    for photograph in photographs:
        _, fit = fitted(photograph, alter(photograph))
        assert is_copy(fit)
        assert abs(fit.turn) < MAX_TURN / 2
        assert fit.rim < MAX_RIM / 2


def test_different_photographs_do_not_fit(photographs):
    for number, photograph in enumerate(photographs):
        _, fit = fitted(photograph, photographs[number - 1])
        assert fit.score < 0.6


def test_a_shifted_descriptor_is_placed_where_it_came_from(photographs):
    for photograph in photographs:
        first = padded(describe_picture(photograph))
        second = np.roll(first, (-3, 2), axis=(0, 1))
        (alignment,) = coarse_alignments(first[None], second, spectra(second))
        found = (alignment.down * DESCRIPTOR_SIDE, alignment.across * DESCRIPTOR_SIDE)
        assert found == pytest.approx((3, -2), abs=0.2)
        assert alignment.scale == 1
        assert alignment.score > 0.95


def test_the_scale_tells_how_much_larger_the_second_must_be(photographs):
    """A crop without rim fills its view, so that the uncropped picture is smaller in its view."""
    image = photographs[0]
    height, width = image.shape[:2]
    inner = image[height // 5 : -height // 5, width // 4 : -width // 4]
    outer = image[height // 5 - 12 : 12 - height // 5, width // 4 - 12 : 12 - width // 4]
    _, fit = fitted(np.ascontiguousarray(inner), np.ascontiguousarray(outer))
    assert fit.score > 0.9
    assert fit.scale == pytest.approx(outer.shape[1] / inner.shape[1], abs=0.02)


@pytest.mark.parametrize(("shift", "turn"), [(0.03, 0), (0, -1), *slow((0, 1), (0.02, 2))])
def test_a_second_exposure_is_told_by_its_turn_or_its_rim(photographs, shift, turn):
    for photograph in photographs:
        first = another_exposure(photograph, 0, 0)
        _, fit = fitted(first, another_exposure(photograph, shift, turn))
        assert not is_copy(fit)
        assert fit.score > 0.9
        assert abs(fit.turn) == pytest.approx(abs(turn), abs=0.1)
        assert (fit.rim > MAX_RIM) == (shift > 0)


def test_a_picture_without_anything_to_see_fits_on_nothing(photographs):
    black = np.zeros_like(photographs[0])
    for first, second in ((black, photographs[0]), (photographs[0], black), (black, black)):
        assert fitted(first, second)[1].score == NO_FIT.score == 0
