"""Figures by eye, against values counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.subgroups import NO_EYE, by_eye


def block(predictions):
    return with_intervals(by_eye(predictions), predictions.patient_ids)


def test_each_eye_by_hand(draw):
    predictions = replace(draw(60), eyes=np.array(["left", "right", ""] * 20))
    found = block(predictions)
    assert (found["n_known"], found["n_unknown"]) == (40, 20)
    assert [one["eye"] for one in found["eyes"]] == ["left", "right"]
    for one, first in zip(found["eyes"], (0, 1), strict=True):
        targets, predicted = predictions.targets[first::3], predictions.predicted[first::3]
        assert one["n"] == 20
        assert one["accuracy"]["value"] == pytest.approx((targets == predicted).mean())
        kappa = cohen_kappa_score(targets, predicted, weights="quadratic")
        assert one["quadratic_kappa"]["value"] == pytest.approx(kappa)
        assert one["quadratic_kappa"]["low"] < kappa < one["quadratic_kappa"]["high"]


def test_one_eye_alone(draw):
    found = block(replace(draw(20), eyes=np.array(["left"] * 20)))
    left, right = found["eyes"]
    assert left["n"] == 20
    assert right["accuracy"] == {"value": None, "reason": "no photograph of a right eye"}


def test_no_eye_is_known(draw):
    assert block(draw(20)) == {"value": None, "reason": NO_EYE}
