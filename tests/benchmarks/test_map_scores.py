"""Scores of maps, on maps and answers whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.map_scores.controls import centre_blob, darkness
from benchmarks.map_scores.measures import (
    deletion_and_insertion,
    mean_and_interval,
    points_at,
    ratio_and_interval,
    shares_on,
)
from benchmarks.map_scores.report import report
from dr_ovo.synthetic.fundus import draw_fundus

SIDE = 100
RETINA = np.ones((SIDE, SIDE), bool)


def lesion() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[20:30, 20:40] = True
    return mask


def at(row: int, column: int) -> np.ndarray:
    values = np.zeros((SIDE, SIDE))
    values[row, column] = 1
    return values


def test_a_map_points_at_a_lesion_or_next_to_it():
    assert points_at(at(25, 30), lesion(), RETINA) == 1
    assert points_at(at(32, 30), lesion(), RETINA) == 1  # within 3 % of a side
    assert points_at(at(36, 30), lesion(), RETINA) == 0


def test_what_lies_outside_the_retina_does_not_count():
    retina = RETINA.copy()
    retina[:, 60:] = False
    values = at(25, 30) + 5 * at(80, 80)
    assert points_at(values, lesion(), retina) == 1
    assert shares_on(values, lesion(), retina) == (1.0, 200 / 6000)


def test_shares_are_of_what_is_positive():
    values = np.full((SIDE, SIDE), -3.0)
    values[20:30, 20:30], values[50:60, 50:60] = 2, 6
    assert shares_on(values, lesion(), RETINA) == (0.25, 0.02)
    assert shares_on(-np.ones((SIDE, SIDE)), lesion(), RETINA) is None
    assert shares_on(values, np.zeros((SIDE, SIDE), bool), RETINA) is None


def test_deletion_and_insertion_tell_an_order_by_what_the_answer_needs():
    image = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    needed = lesion()

    def answers(images: np.ndarray) -> np.ndarray:
        """How sharp the needed places are, and the others."""
        spread = [(one[needed].std(), one[~needed].std()) for one in images.astype(float)]
        return np.array(spread)

    right, wrong = needed.astype(float), 1 - needed.astype(float)
    taken, given = deletion_and_insertion(image, right, RETINA, answers)
    taken_wrongly, given_wrongly = deletion_and_insertion(image, wrong, RETINA, answers)
    assert taken[0] < taken_wrongly[0] - 20
    assert given[0] > given_wrongly[0] + 20
    assert taken[1] > taken_wrongly[1]


def test_intervals_are_of_the_photographs_that_have_a_value():
    mean, low, high = mean_and_interval([1, 3, np.nan], np.random.default_rng(0))
    assert (mean, low, high) == (2, 1, 3)
    ratio = ratio_and_interval([(0.2, 0.1), (0.4, 0.1)], np.random.default_rng(0))
    assert ratio == pytest.approx((3, 2, 4))


def test_controls():
    image, lesions = draw_fundus(3, "right", 320, seed=3, patient_seed=4)
    blob = centre_blob(image)
    row, column = np.unravel_index(blob.argmax(), blob.shape)
    assert np.hypot(row - 160, column - 160) < 12
    retina = image.max(axis=2) > 30
    green = darkness(image, retina)
    dark = [one for one in lesions if one["kind"] == "haemorrhage"]
    inside = [green[round(one["y"]), round(one["x"])] for one in dark]
    assert np.mean(inside) > np.percentile(green[retina], 90)


def test_the_report_has_paired_differences():
    def scores(points: float, share: float, deletion: float) -> dict:
        own = {"points": points, "any": [share, 0.1], "haemorrhage": [share, 0.1]}
        return {**own, "deletion": deletion, "insertion": -deletion}

    def row(better: float) -> dict:
        maps = {name: scores(0, 0.1, -1) for name in ("shuffled 0", "shuffled 1", "centre blob")}
        maps |= {"green darkness": scores(1, 0.3, -1), "stride 16": scores(1, 0.4, -2)}
        maps["stride 32"] = scores(1, 0.3 + better, -3)
        every = {
            name: dict.fromkeys(("grade", "rival", "not_none"), own) for name, own in maps.items()
        }
        return {"area": 0.1, "area_near": 0.2, "maps": every}

    one = {"of": "drawn", "architecture": "x", "size": 64, "photographs": [row(0), row(0.1)]}
    text = report([one])
    assert "| network, size |" not in text
    assert "| stride 32 | 100 (100 to 100) | 3.50 (3.00 to 4.00) | -3.00 (-3.00 to -3.00)" in text
    assert "| *stride 32 less shuffled* | 100 (100 to 100) | 25.0 (20.0 to 30.0) % of the" in text
    assert "| *stride 32 less green darkness* | 0 (0 to 0) | 5.0 (0.0 to 10.0) % of the map" in text
    several = report([one, {**one, "size": 128}, {**one, "of": "annotated"}])
    assert several.count("| network, size | stride 16 | stride 32 | shuffled |") == 2 * 3
    first = several[: several.index("**x at")]
    assert first.count("| x, 128 px | 100 (100 to 100) | 100 (100 to 100) | 0 (0 to 0) |") == 1
    assert first.count("| x, 64 px | 4.00 (4.00 to 4.00) | 3.50 (3.00 to 4.00) | ") == 2
