"""Distances to the nearest train features, p-values out of sample, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from dr_ovo.gates.nearest_features import (
    LEAST_LEVEL,
    LEVEL,
    NEIGHBOURS,
    VAL,
    WIDEST,
    WITHOUT_PATIENT,
    calibrated,
    distances_between,
    folded,
    one_each_first,
    p_values,
)


def test_p_values_by_hand():
    found = p_values(np.array([3.0, 1.0, 2.0]), np.array([0.5, 2.0, 2.5, 9.0]))
    assert found.tolist() == [4 / 4, 3 / 4, 2 / 4, 1 / 4]


def test_distances_are_those_of_scipy():
    rng = np.random.default_rng(1)
    kept = (rng.standard_normal((60, 7)) * np.arange(1, 8)).astype(np.float16)
    new = rng.standard_normal((300, 7)).astype(np.float16)  # more than one block
    values = kept.astype(np.float64)
    deviation = np.hypot(values.std(axis=0), 0.1 * values.std(axis=0).mean())
    between = cdist(new / deviation, values / deviation)
    expected = np.sort(between, axis=1)[:, :NEIGHBOURS].mean(axis=1) / np.sqrt(7)
    assert distances_between(kept, new) == pytest.approx(expected, rel=1e-3)


def test_distances_without_the_own_patient():
    kept = np.zeros((24, 2), np.float16)
    kept[12:] = 1  # two patients, twelve equal pictures each
    patients = np.repeat(["a", "b"], 12)
    own = distances_between(kept, kept.astype(np.float32), patients)
    assert (distances_between(kept, kept) == 0).all()
    assert (own > 1).all()


def test_pictures_like_val_are_called_unlike_at_the_level():
    rng = np.random.default_rng(2)
    train, val, new = (rng.standard_normal((n, 20)).astype(np.float32) for n in (400, 300, 3000))
    found = calibrated(train, np.arange(400), val)
    assert found is not None
    assert found.calibrated_on == VAL
    assert found.level == LEVEL
    assert (found.p_values(new) <= found.level).mean() == pytest.approx(LEVEL, abs=0.008)
    assert (found.p_values(new + 4) <= found.level).all()


def test_a_small_val_is_scaled_by(monkeypatch):
    rng = np.random.default_rng(3)
    train, val = (rng.standard_normal((n, 20)).astype(np.float32) for n in (200, 20))
    learned = 0.5 * train  # nearer to one another than new pictures are
    found = calibrated(learned, np.arange(200), val)
    assert found is not None
    assert found.calibrated_on == WITHOUT_PATIENT
    assert np.median(found.distances) == pytest.approx(np.median(found.distances_of(val)), rel=1e-3)
    assert found.level <= LEAST_LEVEL


@pytest.mark.parametrize(("train", "val"), [(10, 60), (40, 20), (60, 0)])
def test_too_few_pictures_are_no_gate(train, val):
    features = np.random.default_rng(0).standard_normal((train, 4)).astype(np.float32)
    assert calibrated(features, np.arange(train), np.ones((val, 4), np.float32)) is None


def test_features_that_overflow_stay_finite():
    features = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    found = calibrated(features, np.arange(60), features * 1e6)
    assert found is not None
    assert np.isfinite(found.distances).all()
    assert np.isfinite(found.distances_of(features * 1e9)).all()


def test_folding_keeps_distances_about():
    rng = np.random.default_rng(4)
    wide = rng.standard_normal((40, 5 * WIDEST)).astype(np.float32)
    small = folded(wide)
    assert small.shape == (40, WIDEST)
    pairs = np.triu_indices(40, 1)
    ratio = cdist(small, small)[pairs] / cdist(wide, wide)[pairs]
    assert ratio.min() > 0.85
    assert ratio.max() < 1.15
    assert folded(wide[:, :WIDEST]) is not None
    assert np.array_equal(folded(wide[:, :WIDEST]), wide[:, :WIDEST])


def test_one_picture_of_each_patient_comes_first():
    patients = ["a", "a", "a", "b", "c", ""]
    samples = ["0/1", "0/2", "0/3", "1/4", "1/5", "1/6"]
    four = one_each_first(patients, samples, 4)
    assert {patients[at] for at in four} == {"a", "b", "c", ""}
    assert len(one_each_first(patients, samples, 5)) == 5
    assert one_each_first(patients, samples, one_each=True).tolist() == four.tolist()
    assert one_each_first(patients, samples).tolist() == list(range(6))


def test_the_choice_does_not_depend_on_the_order():
    rng = np.random.default_rng(5)
    patients, samples = [f"p{n % 30}" for n in range(100)], [f"0/{n}" for n in range(100)]
    chosen = {samples[at] for at in one_each_first(patients, samples, 40)}
    order = rng.permutation(100)
    mixed = [patients[at] for at in order], [samples[at] for at in order]
    assert {mixed[1][at] for at in one_each_first(*mixed, 40)} == chosen
