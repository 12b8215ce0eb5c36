"""The statistics measure what their names say, and are finite for any picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dr_ovo.audit.image_statistics import image_statistics, jpeg_table_sums

# Sums of the luminance and chrominance tables of the JPEG standard (Annex K) at quality 50.
STANDARD_SUMS = 3688, 5505


@pytest.fixture(scope="module")
def photograph(idrid_small) -> np.ndarray:
    path = min((idrid_small / "train" / "2").glob("*.jpg"))
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def encoded(image: np.ndarray, quality: int = 90) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def test_tables_of_a_jpeg(photograph):
    sums = np.exp(jpeg_table_sums(encoded(photograph, 50)))
    assert sums == pytest.approx(STANDARD_SUMS)
    assert jpeg_table_sums(cv2.imencode(".png", photograph)[1].tobytes()) == (-1.0, -1.0)


def test_what_moves_with_what(photograph):
    plain = image_statistics(encoded(photograph), photograph)
    blurred = image_statistics(encoded(photograph), cv2.GaussianBlur(photograph, (0, 0), 2))
    brighter = image_statistics(encoded(photograph), cv2.convertScaleAbs(photograph, alpha=1.2))
    assert blurred["sharpness"] < plain["sharpness"] - 0.5
    assert blurred["noise_mean"] < plain["noise_mean"] - 0.5
    assert brighter["red_mean"] > 1.1 * plain["red_mean"]
    assert brighter["green_gaps"] > plain["green_gaps"]  # empty levels in a stretched histogram
    assert plain["log_width"] == pytest.approx(np.log(photograph.shape[1]))
    assert plain["red_mean"] == pytest.approx(brighter["red_mean"] / 1.2, rel=0.1)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 50, 3), np.uint8),
        np.full((16, 16, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (17, 300, 3), dtype=np.uint8),
    ],
)
def test_any_picture_has_finite_statistics(image, photograph):
    found = image_statistics(encoded(image), image)
    assert found.keys() == image_statistics(encoded(photograph), photograph).keys()
    assert np.isfinite(list(found.values())).all()
