import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dr_ovo.errors import UserError
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.disc import crop_to_disc, disc_box, pad_to_square
from dr_ovo.photographs.image_decoding import decode_bytes, decode_image, full_sides
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.preprocessing_steps import STEPS

PLAIN = Preprocessing(64, clahe=False)


def colours(height: int = 48, width: int = 64) -> np.ndarray:
    """(height, width, 3) uint8 RGB: left half red, right half blue, lower half greener."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 200
    image[:, width // 2 :, 2] = 120
    image[height // 2 :, :, 1] = 90
    return image


def fundus(level: int, height: int = 300, width: int = 400, noise: float = 0) -> np.ndarray:
    """A disc of brightness `level` with a soft edge, in the middle of a black picture."""
    y, x = np.mgrid[:height, :width]
    reach = np.hypot(x - width / 2, y - height / 2) / (0.45 * height)
    light = level * np.clip((1 - reach) * 20, 0, 1)
    image = np.stack([light, 0.5 * light, 0.2 * light], axis=2)
    image = image + np.random.default_rng(0).normal(0, noise, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


# --- decoding


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
def test_lossless_formats_give_their_own_pixels(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), colours()[..., ::-1])
    assert np.array_equal(decode_image(path, 64), colours())


def test_a_jpeg_gives_nearly_its_own_pixels(tmp_path):
    # Blocks of 8 px: no colour bleeds over an edge.
    Image.fromarray(colours()).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    assert np.abs(decode_image(tmp_path / "a.jpg", 64).astype(int) - colours()).max() <= 4


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_become_eight_over_the_whole_range(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), colours()[..., ::-1].astype(np.uint16) * 257)
    assert np.array_equal(decode_image(path, 64), colours())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("scale", [1, 257])
def test_grey_becomes_three_equal_channels(tmp_path, suffix, scale):
    path = tmp_path / f"a{suffix}"
    grey = colours()[..., 0]
    cv2.imwrite(str(path), grey.astype(np.uint8 if scale == 1 else np.uint16) * scale)
    assert np.array_equal(decode_image(path, 64), np.repeat(grey[..., None], 3, axis=2))


def test_a_grey_jpeg_becomes_three_equal_channels(tmp_path):
    Image.fromarray(colours()[..., 0]).save(tmp_path / "a.jpg", quality=95)
    image = decode_image(tmp_path / "a.jpg", 64)
    assert image.shape == (48, 64, 3)
    assert (image == image[..., :1]).all()


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "L", "1"])
def test_other_pixel_formats_become_rgb(tmp_path, mode):
    picture = Image.fromarray(colours())
    source = picture.convert(mode) if mode != "P" else picture.quantize(8)
    source.save(tmp_path / "a.png")
    image = decode_image(tmp_path / "a.png", 64)
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(image, np.array(source.convert("RGB")))


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_alpha_is_dropped_not_blended(tmp_path, depth):
    scale = 257 if depth is np.uint16 else 1
    clear = np.zeros((48, 64, 1), np.uint8)
    picture = np.concatenate([colours()[..., ::-1], clear], axis=2).astype(depth) * scale
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    assert np.array_equal(decode_image(tmp_path / "a.png", 64), colours())


def test_cmyk_jpegs_are_taken(tmp_path):
    Image.fromarray(colours()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    image = decode_image(tmp_path / "a.jpg", 64)
    assert image.shape == (48, 64, 3)
    assert image[4, 4, 0] > 150 > image[4, 60, 0]


@pytest.mark.parametrize("size", [16, 512])
def test_the_camera_may_have_been_turned(tmp_path, size):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    Image.fromarray(colours(480, 640)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = decode_image(tmp_path / "a.jpg", size)
    assert image.shape[0] > image.shape[1]
    # The left half, which is red, is now at the top.
    top, bottom = image[: len(image) // 4], image[-len(image) // 4 :]
    assert top[..., 0].mean() > 150 > 50 > bottom[..., 0].mean()


def test_the_suffix_does_not_decide_the_format(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), colours()[..., ::-1])
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert np.array_equal(decode_image(tmp_path / "a.jpg", 64), colours())


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(idrid_small, tmp_path):
    source = cv2.imread(str(next((idrid_small / "train" / "4").glob("*.jpg"))))
    large = cv2.resize(source, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)  # 1920 px wide
    cv2.imwrite(str(tmp_path / "a.jpg"), large, [cv2.IMWRITE_JPEG_QUALITY, 95])
    cv2.imwrite(str(tmp_path / "a.png"), large)
    reduced, whole = decode_image(tmp_path / "a.jpg", 224), decode_image(tmp_path / "a.png", 224)
    assert reduced.shape[0] * 2 <= whole.shape[0]
    assert min(reduced.shape[:2]) >= 1.5 * 224
    settings = Preprocessing(224, clahe=False)
    difference = np.abs(settings.apply(reduced).astype(int) - settings.apply(whole))
    assert difference.mean() < 1
    assert np.percentile(difference, 99) <= 5


@pytest.mark.parametrize("size", [8, 32, 224, 1024])
def test_reduced_decoding_never_makes_a_photograph_too_small(tmp_path, size):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((100, 120, 3), 90, np.uint8))
    assert min(decode_image(tmp_path / "a.jpg", size).shape[:2]) >= min(100, 1.5 * size)


# --- damaged files


@pytest.fixture
def photograph(tmp_path):
    """Writes a noisy picture in the format of the suffix and returns its path."""

    def write(suffix: str, size: int = 200):
        picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
        path = tmp_path / f"photograph{suffix}"
        Image.fromarray(picture).save(path)
        return path

    return write


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_truncated_files_are_damaged(photograph, suffix, share):
    path = photograph(suffix)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DamagedImage):
        decode_image(path, 64)


def test_a_truncated_jpeg_is_not_saved_by_the_end_of_its_thumbnail(tmp_path):
    thumbnail = cv2.imencode(".jpg", colours())[1].tobytes()
    Image.fromarray(colours(400, 400)).save(tmp_path / "a.jpg", exif=_exif_with(thumbnail))
    data = (tmp_path / "a.jpg").read_bytes()
    assert data.count(b"\xff\xd9") == 2
    decode_image(tmp_path / "a.jpg", 64)
    (tmp_path / "a.jpg").write_bytes(data[:-200])
    with pytest.raises(DamagedImage, match="truncated"):
        decode_image(tmp_path / "a.jpg", 64)


def _exif_with(thumbnail: bytes) -> bytes:
    """An EXIF segment with these bytes, where cameras store a thumbnail."""
    return b"Exif\0\0" + b"II*\0\x08\0\0\0\0\0\0\0\0\0" + thumbnail


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_bytes_after_the_end_do_no_harm(photograph, suffix):
    path = photograph(suffix)
    with path.open("ab") as file:
        file.write(b"\0" * 100)
    assert decode_image(path, 200).shape == (200, 200, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "zero bytes"),
        (b"patient,grade\n1,0\n", "can't be decoded"),
        (b"\xff\xd8\xff\xd9", "can't be decoded"),
        (b"\xff\xd8\xff\xe0 no jpeg \xff\xd9", "can't be decoded"),
        (b"\xff\xd8\xff\xff\xff\xfe\0\2", "truncated"),
        (b"II*\0", "can't be decoded"),
    ],
)
def test_files_that_are_no_pictures_are_damaged(tmp_path, content, reason):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(DamagedImage, match=reason):
        decode_image(path, 64)


@pytest.mark.parametrize(("width", "height"), [(10, 10), (15, 300), (300, 15)])
def test_tiny_pictures_are_damaged(tmp_path, width, height):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((height, width, 3), 99, np.uint8))
    with pytest.raises(DamagedImage, match=f"only {width}x{height} pixels"):
        decode_image(tmp_path / "a.png", 64)


def test_floating_point_pictures_are_damaged(tmp_path):
    cv2.imwrite(str(tmp_path / "a.tif"), np.full((64, 64, 3), 0.5, np.float32))
    with pytest.raises(DamagedImage, match="float32"):
        decode_image(tmp_path / "a.tif", 64)


def test_a_file_that_is_not_there_is_damaged(tmp_path):
    with pytest.raises(DamagedImage, match="No such file"):
        decode_image(tmp_path / "a.jpg", 64)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"II*\0"]))
def test_no_bytes_raise_anything_else(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "anything.jpg"
    path.write_bytes(start + content)
    with pytest.raises(DamagedImage):
        decode_image(path, 64)


# --- the disc


@pytest.mark.parametrize("level", [6, 12, 30, 80, 255])
@pytest.mark.parametrize("noise", [0, 1.5])
def test_the_disc_is_found_at_any_brightness_or_nothing_is_cropped(level, noise):
    image = fundus(level, noise=noise)
    height, width = crop_to_disc(image).shape[:2]
    # The disc measures 270 px of 300 x 400.
    assert (height, width) == (300, 400) or (
        height == pytest.approx(270, abs=16) and width == pytest.approx(270, abs=16)
    )
    if level >= 30:
        assert (height, width) != (300, 400)


@pytest.mark.parametrize("level", [0, 1, 40, 255])
def test_a_uniform_picture_is_left_as_it_is(level):
    image = np.full((120, 160, 3), level, np.uint8)
    assert np.array_equal(crop_to_disc(image), image)


def test_a_single_bright_spot_is_not_taken_for_the_disc():
    image = np.zeros((300, 400, 3), np.uint8)
    image[100:130, 200:230] = 255
    assert crop_to_disc(image).shape == image.shape


def test_a_band_of_light_is_not_taken_for_the_disc():
    image = np.zeros((300, 400, 3), np.uint8)
    image[120:260, 20:380] = 200
    assert crop_to_disc(image).shape == image.shape


def test_in_a_picture_without_contrast_no_disc_is_found_in_the_noise():
    dark = np.random.default_rng(0).poisson(2.0, (300, 400, 3)).astype(np.uint8)
    dark[60:240, 80:320] += 6
    assert crop_to_disc(dark).shape == dark.shape


def test_on_real_photographs_the_sides_are_cropped_and_the_retina_kept(idrid_small):
    # IDRiD: the retina fills the height and leaves a dark border at the left and the right.
    for path in sorted((idrid_small / "train").rglob("*.jpg")):
        image = decode_image(path, 1024)
        cropped = crop_to_disc(image)
        height, width = image.shape[:2]
        assert cropped.shape[0] >= 0.95 * height, path
        assert 0.6 * width <= cropped.shape[1] <= 0.95 * width, path
        assert cropped.sum() >= 0.97 * image.sum(), path


def test_a_photograph_that_was_cropped_before_stays_as_it_is(idrid_small):
    for path in sorted((idrid_small / "val").rglob("*.jpg")):
        once = crop_to_disc(decode_image(path, 1024))
        twice = crop_to_disc(once)
        assert min(twice.shape[0] / once.shape[0], twice.shape[1] / once.shape[1]) > 0.97, path


def test_a_photograph_without_dark_corners_keeps_its_retina(idrid_small):
    for path in sorted((idrid_small / "val").rglob("*.jpg")):
        image = decode_image(path, 1024)
        height, width = image.shape[:2]
        middle = image[height // 4 : -height // 4, width * 3 // 10 : -width * 3 // 10]
        found = crop_to_disc(middle).shape
        assert min(found[0] / middle.shape[0], found[1] / middle.shape[1]) > 0.9, path


def test_a_darker_or_flatter_copy_is_cropped_like_the_photograph(idrid_small):
    for path in sorted((idrid_small / "val").rglob("*.jpg"))[::4]:
        image = decode_image(path, 1024)
        expected = crop_to_disc(image).shape
        for changed in (image * 0.35, image * 0.6 + 25):
            found = crop_to_disc(changed.astype(np.uint8)).shape
            assert np.allclose(found, expected, rtol=0.06), path


@settings(max_examples=80, deadline=None)
@given(st.integers(16, 90), st.integers(16, 90), st.integers(0, 2**32 - 1), st.integers(0, 255))
def test_the_crop_is_a_part_of_the_picture_and_never_small(height, width, seed, level):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, level + 1, (height, width, 3)).astype(np.uint8)
    image[: rng.integers(height)] = 0
    image[:, : rng.integers(width)] = 0
    cropped = crop_to_disc(image)
    assert cropped.shape[0] >= 0.4 * height
    assert cropped.shape[1] >= 0.4 * width
    assert cropped.shape[0] <= height
    assert cropped.shape[1] <= width
    assert np.isin(cropped.reshape(-1, 3), image.reshape(-1, 3)).all()


@pytest.mark.parametrize("shape", [(16, 9000), (9000, 16), (16, 16)])
def test_extreme_shapes_are_left_as_they_are(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert crop_to_disc(image).shape == image.shape


# --- square, size, contrast


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (7, 7)])
def test_the_square_holds_the_picture_in_its_middle_on_black(shape):
    image = np.full((*shape, 3), 9, np.uint8)
    square = pad_to_square(image)
    side = max(shape)
    assert square.shape == (side, side, 3)
    assert square.sum() == image.sum()
    top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
    assert (square[top : top + shape[0], left : left + shape[1]] == 9).all()


@pytest.mark.parametrize("size", [32, 64, 500])
@pytest.mark.parametrize("clahe", [False, True])
def test_the_result_is_a_square_of_the_size_asked_for(size, clahe):
    result = Preprocessing(size, clahe=clahe).apply(fundus(180))
    assert result.shape == (size, size, 3)
    assert result.dtype == np.uint8


def test_proportions_are_kept():
    # A disc stays a disc: as wide as it is high.
    result = PLAIN.apply(fundus(180, height=200, width=500)).max(axis=2) > 60
    rows, columns = np.flatnonzero(result.any(axis=1)), np.flatnonzero(result.any(axis=0))
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2)


def test_the_photograph_is_resized_before_its_contrast_is_raised(idrid_small):
    path = next((idrid_small / "val" / "3").glob("*.jpg"))
    image = decode_image(path, 64)
    square = pad_to_square(crop_to_disc(image))
    small = cv2.resize(square, (64, 64), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(3.0, (8, 8)).apply(lab[..., 0].copy())
    expected = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    assert np.array_equal(Preprocessing(64).apply(decode_image(path, 64)), expected)
    # The other order gives a different picture.
    lab = cv2.cvtColor(square, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(3.0, (8, 8)).apply(lab[..., 0].copy())
    late = cv2.resize(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(late.astype(int) - expected).mean() > 2


def test_each_setting_of_clahe_changes_the_picture(idrid_small):
    path = next((idrid_small / "val" / "3").glob("*.jpg"))
    base = Preprocessing(224)
    changed = [
        dataclasses.replace(base, clahe=False),
        dataclasses.replace(base, clahe_clip_limit=1.5),
        dataclasses.replace(base, clahe_tile_grid_size=4),
    ]
    pictures = {
        settings.apply(decode_image(path, settings.size)).tobytes() for settings in (base, *changed)
    }
    assert len(pictures) == 4


# --- identity


def test_the_hash_changes_with_every_setting():
    base = Preprocessing(224)
    others = {
        "size": 256,
        "clahe": False,
        "clahe_clip_limit": 2.0,
        "clahe_tile_grid_size": 4,
        "disc_crop": False,
        "ben_graham": True,
    }
    assert set(others) == {field.name for field in dataclasses.fields(Preprocessing)}
    changed = [dataclasses.replace(base, **{name: value}) for name, value in others.items()]
    assert len({base.hash, *(settings.hash for settings in changed)}) == len(others) + 1
    assert len(base.hash) == 16


def test_without_clahe_its_settings_count_for_nothing():
    first, second = Preprocessing(64, False, 2.0, 4), Preprocessing(64, False, 3.0, 8)
    assert first.hash == second.hash
    assert first.apply(colours()).tobytes() == second.apply(colours()).tobytes()


@pytest.mark.parametrize(
    "given",
    [
        Preprocessing(224),
        Preprocessing(96, True, 1.5, 4),
        PLAIN,
        Preprocessing(64, disc_crop=False),
        Preprocessing(64, clahe=False, ben_graham=True),
    ],
)
def test_settings_survive_being_stored(given):
    read = Preprocessing.from_dict(given.to_dict())
    assert read.hash == given.hash
    assert read.apply(fundus(150)).tobytes() == given.apply(fundus(150)).tobytes()


@pytest.mark.parametrize(
    ("stored", "expected", "digest"),
    [
        (
            {
                "size": 224, "clahe": True, "clahe_clip_limit": 3.0, "clahe_tile_grid_size": 8,
                "version": 1,
            },
            Preprocessing(224),
            "47497b4ef34fb2ce",
        ),
        ({"size": 64, "clahe": False, "version": 1}, PLAIN, "1fb9a076b35b2e66"),
    ],
)  # fmt: skip
def test_settings_of_the_first_version_mean_what_they_meant(stored, expected, digest):
    read = Preprocessing.from_dict(stored)
    assert read == expected
    assert read.to_dict() == stored
    assert read.hash == digest
    assert read.steps == (("disc_crop", "clahe") if stored["clahe"] else ("disc_crop",))


def test_the_first_version_is_not_asked_for_what_it_can_not_do():
    for later in (Preprocessing(64, disc_crop=False), Preprocessing(64, ben_graham=True)):
        assert later.to_dict()["version"] == 2


def test_the_steps_are_named_in_the_order_in_which_they_run():
    every = Preprocessing(64, ben_graham=True)
    assert every.steps == ("disc_crop", "ben_graham", "clahe") == tuple(STEPS)
    assert Preprocessing(64, clahe=False, disc_crop=False).steps == ()


def test_no_step_leaves_resizing_alone(idrid_small):
    image = decode_image(next(idrid_small.rglob("*.jpg")), 64)
    expected = cv2.resize(pad_to_square(image), (64, 64), interpolation=cv2.INTER_AREA)
    settings = Preprocessing(64, clahe=False, disc_crop=False)
    assert np.array_equal(settings.apply(image), expected)


def test_settings_of_another_version_are_refused():
    values = {**Preprocessing(224).to_dict(), "version": 99}
    with pytest.raises(UserError, match="preprocessing version 99"):
        Preprocessing.from_dict(values)


@pytest.mark.parametrize("turned", [False, True])
def test_full_sides_are_those_of_the_file_however_small_it_is_decoded(tmp_path, turned):
    path = tmp_path / "photograph.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1  # "turn by 90 degrees to see it upright"
    Image.fromarray(fundus(150, height=600, width=800)).save(path, exif=exif)
    data = path.read_bytes()
    image = decode_bytes(data, 32)
    assert max(image.shape) == 100
    assert full_sides(data, image) == ((800, 600) if turned else (600, 800))


def test_full_sides_of_a_png_are_those_of_its_pixels():
    image = fundus(150)
    data = cv2.imencode(".png", image)[1].tobytes()
    assert full_sides(data, decode_bytes(data, 32)) == image.shape[:2]


def test_the_box_of_the_disc_is_what_the_crop_keeps():
    image = fundus(150)
    top, bottom, left, right = disc_box(image)
    assert np.array_equal(image[top:bottom, left:right], crop_to_disc(image))
    assert (right - left, bottom - top) == pytest.approx((270, 270), abs=12)
