import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dr_ovo.batches.augmentation import (
    NUMBERS,
    ZOOM_RANGE,
    Augmentation,
    flipped_views,
    normalise,
    to_unit_range,
)
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.settings.groups.augmentation import AugmentationOptions
from tests.fixtures.waiting import NothingWaits

ALL = Augmentation(AugmentationOptions())
COLOURS_AND_BLUR = {"saturation_range": 0.4, "hue_range": 30.0, "blur_range": 0.02}
MORE = Augmentation(AugmentationOptions(**COLOURS_AND_BLUR))


def still(**changes: float) -> Augmentation:
    """An augmentation without rotation, brightness and contrast, but for these options."""
    off = {"rotation_range": 0.0, "brightness_range": 0.0, "contrast_range": 0.0}
    return Augmentation(AugmentationOptions(**(off | changes)))


STILL = still()
ANGLE, ZOOM, FLIP_X, FLIP_Y, BRIGHTNESS, CONTRAST, SATURATION, HUE, BLUR = range(NUMBERS)


def numbers(**values: float) -> torch.Tensor:
    """(1, NUMBERS): neutral except for the values given."""
    row = torch.zeros(1, NUMBERS)
    for name, value in values.items():
        row[0, globals()[name]] = value
    return row


@pytest.fixture
def picture() -> torch.Tensor:
    """(1, 3, 9, 9), with all pixels different."""
    return torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2


@pytest.fixture(scope="module")
def photographs(idrid_small) -> torch.Tensor:
    """(4, 3, 200, 200) in [0, 1]."""
    paths = sorted((idrid_small / "train" / "3").glob("*.jpg"))[:4]
    images = np.stack([decode_image(path, 1024)[:200, :200] for path in paths])
    return to_unit_range(torch.from_numpy(images), torch.device("cpu"))


def close(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.allclose(first, second, atol=1e-5)


def test_neutral_numbers_change_nothing(picture):
    assert close(ALL.apply(picture, numbers()), picture)
    assert close(MORE.apply(picture, numbers()), picture)


def test_with_all_ranges_zero_only_flips_and_zoom_remain(picture):
    drawn = numbers(ANGLE=0.7, BRIGHTNESS=-0.9, CONTRAST=0.8, SATURATION=1, HUE=1, BLUR=1)
    assert close(STILL.apply(picture, drawn), picture)


def test_switched_off_the_very_same_batch_comes_back(picture):
    off = Augmentation(AugmentationOptions(enable_medical_augmentation=False))
    assert off.apply(picture, off.draw(0, 1, 1)) is picture


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({"FLIP_X": -0.5}, lambda image: image.flip(3)),
        ({"FLIP_Y": -0.5}, lambda image: image.flip(2)),
        ({"FLIP_X": -1, "FLIP_Y": -1}, lambda image: image.flip(2, 3)),
        ({"FLIP_X": 0.5, "FLIP_Y": 0.5}, lambda image: image),
    ],
)
def test_flips_mirror_the_picture(picture, which, expected):
    assert close(STILL.apply(picture, numbers(**which)), expected(picture))


@pytest.mark.parametrize(("angle", "turns"), [(1, 1), (-1, -1), (2, 2)])
def test_rotation_turns_by_the_degrees_named(picture, angle, turns):
    turned = still(rotation_range=90.0).apply(picture, numbers(ANGLE=angle))
    assert close(turned, picture.rot90(turns, (2, 3)))


def test_rotation_and_flip_together_are_one_after_the_other(picture):
    quarter = still(rotation_range=90.0)
    for flip, axis in (("FLIP_X", 3), ("FLIP_Y", 2)):
        both = quarter.apply(picture, numbers(ANGLE=1, **{flip: -1}))
        assert close(both, picture.flip(axis).rot90(1, (2, 3))) or close(
            both, picture.rot90(1, (2, 3)).flip(axis)
        )


def test_what_turns_in_from_outside_is_black():
    white = torch.ones(1, 3, 64, 64)
    turned = still(rotation_range=45.0).apply(white, numbers(ANGLE=1))
    assert turned[..., 0, 0].max() == 0
    assert turned[..., 30:34, 30:34].min() > 0.999


@pytest.mark.parametrize("zoom", [-1.0, 1.0])
def test_zoom_scales_about_the_middle(zoom):
    # A square of 40 px in 100 becomes one of 40 times the zoom.
    image = torch.zeros(1, 3, 100, 100)
    image[..., 30:70, 30:70] = 1
    zoomed = STILL.apply(image, numbers(ZOOM=zoom))
    side = zoomed[0, 0, 50].sum().item()
    assert side == pytest.approx(40 * (1 + zoom * ZOOM_RANGE), abs=0.5)
    assert close(zoomed, zoomed.flip(2, 3))


def test_brightness_scales_and_is_relative(picture):
    bright = still(brightness_range=0.2)
    assert close(bright.apply(picture, numbers(BRIGHTNESS=1)), picture * 1.2)
    assert close(bright.apply(picture, numbers(BRIGHTNESS=-0.5)), picture * 0.9)


def test_contrast_stretches_about_each_pictures_own_mean(picture):
    sharp = still(contrast_range=0.2)
    batch = torch.cat([picture, picture * 0.5])
    changed = sharp.apply(batch, numbers(CONTRAST=1).expand(2, NUMBERS))
    level = batch.mean(dim=(1, 2, 3), keepdim=True)
    assert close(changed, (level + (batch - level) * 1.2).clamp(0, 1))
    assert close(changed.mean(dim=(1, 2, 3)), batch.mean(dim=(1, 2, 3)))


def test_saturation_strengthens_colours_about_each_pixels_grey(picture):
    grey = picture.mean(dim=1, keepdim=True)
    strong = still(saturation_range=0.3).apply(picture, numbers(SATURATION=1))
    assert close(strong, (grey + (picture - grey) * 1.3).clamp(0, 1))
    pale = still(saturation_range=0.3).apply(picture, numbers(SATURATION=-1))
    assert close(pale, grey + (picture - grey) * 0.7)


def test_hue_turns_the_circle_of_colours_and_leaves_greys():
    red, green, blue = torch.eye(3).view(3, 1, 3, 1, 1).expand(3, 1, 3, 4, 4)
    turned = still(hue_range=120.0)
    for colour, there, back in ((red, green, blue), (green, blue, red), (blue, red, green)):
        assert close(turned.apply(colour, numbers(HUE=1)), there)
        assert close(turned.apply(colour, numbers(HUE=-1)), back)
    cyan = still(hue_range=180.0).apply(red * 0.75, numbers(HUE=1))
    assert close(cyan[..., 0, 0], torch.tensor([[0.0, 0.5, 0.5]]))  # -0.25, below black
    grey = torch.full((1, 3, 4, 4), 0.3)
    assert close(turned.apply(grey, numbers(HUE=0.4)), grey)
    black = torch.zeros(1, 3, 4, 4)
    assert torch.equal(MORE.apply(black, numbers(SATURATION=1, HUE=1, BLUR=1)), black)


def test_a_hue_of_small_angles_is_a_small_change(picture):
    changed = still(hue_range=5.0).apply(picture, numbers(HUE=1))
    assert 0 < (changed - picture).abs().max() < 0.1
    assert close(changed.mean(dim=1), picture.mean(dim=1))


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_blurred_point_is_a_gaussian(share):
    side, largest = 101, 0.03 * 101
    point = torch.zeros(1, 3, side, side)
    point[..., 50, 50] = 1
    spread = still(blur_range=0.03).apply(point, numbers(BLUR=share))
    x = np.arange(side) - 50
    line = np.exp(-0.5 * (x / (share * largest)) ** 2) * (abs(x) <= np.ceil(3 * largest))
    expected = torch.from_numpy(np.outer(line, line) / line.sum() ** 2).float()
    assert torch.allclose(spread[0, 1], expected, atol=1e-6)
    assert close(spread, spread.transpose(2, 3))


def test_half_the_images_are_blurred_and_the_others_untouched(photographs):
    soft = still(blur_range=0.02)
    for number in (-1.0, -0.3, 0.0):
        drawn = numbers(BLUR=number).expand(4, NUMBERS)
        assert torch.equal(soft.apply(photographs, drawn), STILL.apply(photographs, drawn))
    detail = [
        (image - image.roll(1, dims=3)).abs().mean()
        for image in (
            soft.apply(photographs, numbers(BLUR=number).expand(4, NUMBERS))
            for number in (0.0, 0.3, 1.0)
        )
    ]
    assert detail[0] > 1.2 * detail[1] > 1.44 * detail[2]


def test_a_blur_is_a_share_of_the_side_at_any_size():
    for side in (48, 96):
        edge = torch.zeros(1, 3, side, side)
        edge[..., side // 2 :] = 1
        soft = still(blur_range=0.05).apply(edge, numbers(BLUR=1))
        row = soft[0, 0, side // 2]
        width = ((row > 0.16) & (row < 0.84)).sum().item() / side  # two standard deviations
        assert width == pytest.approx(2 * 0.05, abs=0.025)


def test_a_blur_changes_neither_plain_areas_nor_the_edges_of_a_plain_picture():
    plain = torch.full((1, 3, 32, 32), 0.6)
    assert close(still(blur_range=0.05).apply(plain, numbers(BLUR=0.9)), plain)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1, 1, width=32), min_size=NUMBERS, max_size=NUMBERS),
    st.fixed_dictionaries(
        {
            "rotation_range": st.floats(0, 180),
            "brightness_range": st.floats(0, 0.9),
            "contrast_range": st.floats(0, 0.9),
            "saturation_range": st.floats(0, 0.9),
            "hue_range": st.floats(0, 180),
            "blur_range": st.floats(0, 0.05),
        }
    ),
)
def test_values_stay_between_zero_and_one(row, ranges):
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    image[0, 0] = 0
    image[0, 1, :8] = 1
    result = still(**ranges).apply(image, torch.tensor([row]))
    assert result.shape == image.shape
    assert torch.isfinite(result).all()
    assert result.min() >= 0
    assert result.max() <= 1 + 1e-6  # a blur's weights add up to 1 but for rounding


def test_real_photographs_stay_recognisable(photographs):
    changed = ALL.apply(photographs, ALL.draw(7, 1, 4))
    for before, after in zip(photographs, changed, strict=True):
        assert after.mean() == pytest.approx(before.mean().item(), rel=0.35)
        assert not torch.equal(before, after)


def test_each_range_changes_the_picture(photographs):
    drawn = ALL.draw(1, 1, 4)
    results = [
        Augmentation(AugmentationOptions(**change)).apply(photographs, drawn)
        for change in (
            {},
            {"rotation_range": 5.0},
            {"brightness_range": 0.05},
            {"contrast_range": 0.05},
            {"saturation_range": 0.4},
            {"hue_range": 20.0},
            {"blur_range": 0.02},
        )
    ]
    for number, first in enumerate(results):
        for second in results[number + 1 :]:
            assert (first - second).abs().mean() > 1e-3


@pytest.mark.parametrize("augmentation", [ALL, MORE], ids=["default", "colours and blur"])
def test_a_picture_is_augmented_alike_in_any_batch(photographs, augmentation):
    images, count = photographs.repeat(3, 1, 1, 1), 12
    drawn = augmentation.draw(3, 2, count)
    together = augmentation.apply(images, drawn)
    for size in (1, 5):
        parts = zip(images.split(size), drawn.split(size), strict=True)
        assert torch.equal(together, torch.cat([augmentation.apply(*part) for part in parts]))


def test_without_colours_and_blur_the_bits_are_those_of_before(photographs):
    # Numbers and arithmetic as they were before there were colours and blur, written out.
    rng = np.random.default_rng([5, 2, 1])
    before = torch.from_numpy(rng.uniform(-1, 1, (4, 6)).astype(np.float32))
    drawn = ALL.draw(5, 2, 4)
    assert torch.equal(drawn[:, :6], before)
    later = drawn.clone()
    later[:, 6:] = 1.0
    assert torch.equal(ALL.apply(photographs, drawn), ALL.apply(photographs, later))


def test_the_numbers_depend_on_seed_epoch_and_place_alone():
    drawn = ALL.draw(42, 3, 100)
    assert torch.equal(drawn, STILL.draw(42, 3, 100))
    assert torch.equal(drawn[:10], ALL.draw(42, 3, 10))
    torch.manual_seed(0)
    np.random.default_rng(0).normal()
    assert torch.equal(drawn, ALL.draw(42, 3, 100))
    for other in (ALL.draw(43, 3, 100), ALL.draw(42, 4, 100)):
        assert not (drawn == other).any()
    assert len(drawn.unique(dim=0)) == 100


def test_the_numbers_fill_their_range_evenly():
    drawn = ALL.draw(0, 1, 20000)
    assert drawn.dtype == torch.float32
    assert drawn.abs().max() <= 1
    assert drawn.mean(0).abs().max() < 0.02
    assert (drawn.var(0) - 1 / 3).abs().max() < 0.01
    correlation = torch.corrcoef(drawn.T) - torch.eye(NUMBERS)
    assert correlation.abs().max() < 0.03


def test_bytes_become_planes_between_zero_and_one():
    images = torch.arange(2 * 4 * 5 * 3, dtype=torch.uint8).view(2, 4, 5, 3)
    planes = to_unit_range(images, torch.device("cpu"))
    assert planes.shape == (2, 3, 4, 5)
    assert planes[1, 2, 3, 4].item() == pytest.approx(images[1, 3, 4, 2].item() / 255)
    assert to_unit_range(torch.tensor([[[[0, 255, 51]]]], dtype=torch.uint8), torch.device("cpu"))[
        0, :, 0, 0
    ].tolist() == pytest.approx([0, 1, 0.2])


def test_normalising_gives_each_channel_its_mean_and_spread(picture):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    result = normalise(picture, mean, std)
    for channel in range(3):
        expected = (picture[:, channel] - mean[channel]) / std[channel]
        assert torch.allclose(result[:, channel], expected, atol=1e-6)


def test_flipped_views_by_hand():
    picture = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    views = [view.flatten().tolist() for view in flipped_views(picture, 4)]
    assert views == [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 1, 2], [4, 3, 2, 1]]
    assert [len(list(flipped_views(picture, count))) for count in (1, 2)] == [1, 2]


def test_a_batch_waits_for_nothing_once_the_constants_are_there():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    images, device = torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.device("cpu")
    drawn = MORE.draw(0, 1, 2)

    def batch() -> torch.Tensor:
        return normalise(MORE.apply(to_unit_range(images, device), drawn), mean, std)

    with torch.inference_mode():
        before = batch()
    with NothingWaits():
        after = batch()
    assert torch.equal(after, before)
    assert not after.is_inference()  # constants made in evaluation serve training too


def test_normalising_leaves_its_input_alone(picture):
    before = picture.clone()
    normalise(picture, (0.5,) * 3, (0.5,) * 3)
    assert torch.equal(picture, before)


def test_augmenting_leaves_its_input_alone(picture):
    before = picture.clone()
    drawn = numbers(ANGLE=0.5, BRIGHTNESS=0.5, CONTRAST=-0.5, SATURATION=0.5, HUE=0.5, BLUR=0.5)
    MORE.apply(picture, drawn)
    assert torch.equal(picture, before)
