"""Image quality: planted damage lowers the part that it affects; good photographs pass."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.photographs.gradability import MIN_GRADABLE, ungradable
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.quality import (
    DISC_SIDE,
    SMALLEST_DISC,
    Quality,
    decode_with_quality,
    quality_of,
)
from dr_ovo.synthetic.folder import split_patients, write_dataset
from tests.fixtures.slow import slow

Change = Callable[[np.ndarray], np.ndarray]


def photographs(folder: Path, every: int = 1) -> list[np.ndarray]:
    return [decode_image(path, 1024) for path in sorted(folder.rglob("*.jp*g"))[::every]]


@pytest.fixture(scope="module")
def real(idrid_small) -> list[np.ndarray]:
    """The gradable ones among 26 photographs of IDRiD at 320 px."""
    found = [image for image in photographs(idrid_small, 4) if quality_of(image).gradable]
    assert len(found) >= 25
    return found


def noise(image: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)


def scaled(factor: float) -> Change:
    return lambda image: np.clip(image * factor, 0, 255).astype(np.uint8)


def contrast(factor: float) -> Change:
    return lambda image: np.clip((image - 128.0) * factor + 128, 0, 255).astype(np.uint8)


def blurred(sigma_at_512: float) -> Change:
    return lambda image: cv2.GaussianBlur(image, (0, 0), sigma_at_512 * image.shape[1] / 512)


def resized(factor: float) -> Change:
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return lambda image: cv2.resize(image, None, fx=factor, fy=factor, interpolation=method)


def left_covered(image: np.ndarray) -> np.ndarray:
    covered = image.copy()
    covered[:, : image.shape[1] // 2] = 0
    return covered


def top_covered(image: np.ndarray) -> np.ndarray:
    return left_covered(image.transpose(1, 0, 2)).transpose(1, 0, 2)


def recompressed(image: np.ndarray) -> np.ndarray:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


DAMAGE: dict[str, tuple[str, Change]] = {
    "blur 4": ("focus", blurred(4)),
    "noise": ("focus", noise),
    "one grey": ("focus", lambda image: np.full_like(image, 128)),
    "a quarter of the light": ("exposure", scaled(0.25)),
    "black": ("exposure", np.zeros_like),
    "white": ("exposure", lambda image: np.full_like(image, 255)),
    "left half covered": ("field", left_covered),
}
MORE_DAMAGE: dict[str, tuple[str, Change]] = {
    "blur 6": ("focus", blurred(6)),
    "blur 8": ("focus", blurred(8)),
    "noise in the disc": (
        "focus",
        lambda image: np.where(image.max(axis=2, keepdims=True) > 20, noise(image), image),
    ),
    "upper half covered": ("field", top_covered),
}
HARMLESS: dict[str, Change] = {
    "as it is": lambda image: image,
    "JPEG 50": recompressed,
    "20 % darker": scaled(0.8),
    "smaller": resized(0.7),
    "its middle alone": lambda image: image[35:-35, 70:-70].copy(),
    "prepared with CLAHE": Preprocessing(224).apply,
}
MORE_HARMLESS: dict[str, Change] = {
    "flipped": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "less contrast": contrast(0.8),
    "turned": lambda image: np.ascontiguousarray(np.rot90(image)),
    "20 % brighter": scaled(1.2),
    "more contrast": contrast(1.2),
    "larger": resized(2.5),
    "prepared at 224 px": Preprocessing(224, clahe=False).apply,
}


@pytest.mark.parametrize("name", [*DAMAGE, *slow(*MORE_DAMAGE)])
def test_damage_makes_ungradable_by_the_part_that_it_spoils(name, real):
    part, damage = (DAMAGE | MORE_DAMAGE)[name]
    found = [quality_of(damage(image)) for image in real]
    assert not any(quality.gradable for quality in found)
    assert max(getattr(quality, part) for quality in found) < MIN_GRADABLE


def test_three_times_the_light_makes_nearly_all_ungradable(real):
    # A few are so dark that this much light leaves most of their pixels below the limit.
    found = [quality_of(scaled(3.0)(image)) for image in real]
    assert np.mean([quality.exposure < MIN_GRADABLE for quality in found]) >= 0.9


@pytest.mark.parametrize("name", [*HARMLESS, *slow(*MORE_HARMLESS)])
def test_what_harms_no_grading_stays_gradable(name, real):
    change = (HARMLESS | MORE_HARMLESS)[name]
    assert all(quality_of(change(image)).gradable for image in real)


@pytest.mark.slow
def test_more_blur_means_less_focus(real):
    rows = [[quality_of(blurred(s)(image)).focus for s in (1, 2, 3, 5)] for image in real]
    assert np.all(np.diff(np.mean(rows, axis=0)) < -0.02)


@pytest.mark.slow
def test_size_hardly_matters(real):
    whole, small = (
        [quality_of(resized(factor)(image)).score for image in real] for factor in (2.0, 0.75)
    )
    # Resampling costs a little of the finest detail, equally in all photographs.
    assert np.abs(np.subtract(whole, small)).mean() < 0.12
    assert np.corrcoef(whole, small)[0, 1] > 0.97


@pytest.mark.slow
def test_the_distribution_on_idrid(idrid_small):
    folder = idrid_small.parent / "idrid"
    if not folder.is_dir():
        pytest.skip(f"the real photographs are absent: {folder}")
    scores = np.array([quality_of(image).score for image in photographs(folder)])
    assert len(scores) == 516
    assert not np.isnan(scores).any()
    assert ungradable(scores).mean() <= 0.01
    assert np.quantile(scores, [0.05, 0.25, 0.5, 0.75, 0.95]) == pytest.approx(
        [0.47, 0.62, 0.74, 0.85, 0.98], abs=0.03
    )


@pytest.mark.parametrize("size", [224, *slow(320)])
def test_synthetic_photographs_are_gradable(size, tmp_path):
    write_dataset(tmp_path / "data", split_patients(15), size=size, seed=3)
    found = [quality_of(image) for image in photographs(tmp_path / "data")]
    assert len(found) == 30
    assert all(quality.gradable for quality in found)


@pytest.mark.parametrize("side", [16, 28, 96, SMALLEST_DISC - 20])
def test_too_few_pixels_leave_the_quality_unknown(side, real):
    found = quality_of(Preprocessing(side, clahe=False).apply(real[0]))
    assert found.gradable is None
    assert all(map(math.isnan, (found.score, found.focus, found.field, found.exposure)))


@pytest.mark.parametrize(
    ("score", "expected"), [(MIN_GRADABLE, True), (MIN_GRADABLE - 1e-9, False), (0.0, False)]
)
def test_the_limit_itself_is_gradable(score, expected):
    assert Quality(score, 1.0, 1.0, 1.0).gradable is expected
    assert ungradable(np.array([score, math.nan])).tolist() == [not expected, False]


def test_the_score_is_the_least_part(real):
    for image in real:
        quality = quality_of(image)
        assert quality.score == min(quality.focus, quality.field, quality.exposure)
        assert 0 <= quality.score <= 1


def test_nothing_but_pixels_counts(idrid_small, tmp_path):
    path = next(idrid_small.rglob("*.jpg"))
    other = tmp_path / "test" / "4"
    other.mkdir(parents=True)
    shutil.copy(path, other / "10_left.jpeg")
    copy = decode_image(other / "10_left.jpeg", 64)
    assert quality_of(copy) == quality_of(decode_image(path, 64))


@pytest.mark.parametrize("size", [32, 64, 224])
def test_networks_of_every_size_hold_the_same_quality(size, tmp_path, real):
    # 1280 pixels: for a small network the picture is decoded at a fraction of that.
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), cv2.cvtColor(resized(4.0)(real[0]), cv2.COLOR_RGB2BGR))
    settings = Preprocessing(size)
    image, quality = decode_with_quality(path.read_bytes(), settings)
    assert np.array_equal(image, settings.apply(decode_image(path, settings.size)))
    assert quality == quality_of(decode_image(path, DISC_SIDE))
