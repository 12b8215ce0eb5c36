"""Figures by third of quality, against values counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.results.evaluation_file import evaluation_report
from dr_ovo.statistics.by_quality import by_quality
from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.weighted_statistics import wilson


def block(predictions):
    return with_intervals(by_quality(predictions), predictions.patient_ids)


def test_thirds_by_hand(draw):
    # Nine photographs: 0.1 and 0.2 are ungradable; thirds of three each.
    quality = np.array([0.9, 0.1, 0.5, 0.2, 0.8, 0.4, 0.3, 0.7, 0.6])
    targets = np.array([0, 1, 2, 3, 4, 0, 1, 2, 3])
    predicted = np.array([0, 0, 2, 3, 4, 0, 2, 2, 2])
    changes = {"targets": targets, "predicted": predicted, "quality": quality}
    found = block(replace(draw(9), **changes))
    assert found["n_known"] == 9
    assert found["n_unknown"] == 0
    assert found["n_ungradable"] == 2
    assert found["ungradable"]["value"] == pytest.approx(2 / 9)
    assert (found["ungradable"]["low"], found["ungradable"]["high"]) == wilson(2, 9)
    thirds = found["thirds"]
    assert [third["n"] for third in thirds] == [3, 3, 3]
    assert [(third["low"], third["high"]) for third in thirds] == [
        (0.1, 0.3), (0.4, 0.6), (0.7, 0.9),
    ]  # fmt: skip
    # The lowest third is 1 -> 0, 3 -> 3, 1 -> 2; the middle 2 -> 2, 0 -> 0, 3 -> 2.
    assert [third["accuracy"]["value"] for third in thirds] == pytest.approx([1 / 3, 2 / 3, 1])
    assert (thirds[0]["accuracy"]["low"], thirds[0]["accuracy"]["high"]) == wilson(1, 3)


def test_kappa_is_that_of_the_third_alone(draw):
    quality = np.random.default_rng(4).uniform(0, 1, 120)
    p = draw(120, quality=quality)
    order = np.argsort(quality)
    for third, among in zip(block(p)["thirds"], np.split(order, 3), strict=True):
        expected = cohen_kappa_score(p.targets[among], p.predicted[among], weights="quadratic")
        assert third["n"] == 40
        kappa = third["quadratic_kappa"]
        assert kappa["value"] == pytest.approx(expected)
        assert kappa["low"] < expected < kappa["high"]


def test_unknown_qualities_count_in_no_third(draw):
    quality = np.full(60, np.nan)
    quality[:30] = np.linspace(0.1, 0.9, 30)
    found = block(draw(60, quality=quality))
    assert (found["n_known"], found["n_unknown"]) == (30, 30)
    assert [third["n"] for third in found["thirds"]] == [10, 10, 10]
    assert found["ungradable"]["value"] == found["n_ungradable"] / 30


def test_equal_qualities_stay_together(draw):
    found = block(draw(60, quality=np.ones(60)))
    assert [third["n"] for third in found["thirds"]] == [60, 0, 0]
    assert found["thirds"][2]["low"] is None
    for name in ("accuracy", "quadratic_kappa"):
        assert found["thirds"][2][name] == {
            "value": None, "reason": "no photograph in this third of quality",
        }  # fmt: skip


def test_where_no_quality_is_known_a_reason_stands_in_the_report(draw):
    p = draw(60)
    found = evaluation_report(p, fit_calibration(p, []), "test")["by_quality"]
    assert found["value"] is None
    assert found["reason"].startswith("no photograph has a known quality")


def test_two_eyes_are_resampled_together(draw):
    quality = np.random.default_rng(1).uniform(0, 1, 120)
    single, paired = draw(120, quality=quality), draw(120, eyes_per_patient=2, quality=quality)
    intervals = [block(p)["thirds"][0]["accuracy"] for p in (single, paired)]
    assert intervals[0]["value"] == intervals[1]["value"]
    assert intervals[0]["low"] != intervals[1]["low"]
