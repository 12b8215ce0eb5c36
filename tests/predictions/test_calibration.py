"""Who calibrates, what is fitted, and that a file gives back what was written."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import log_loss

from dr_ovo.errors import UserError
from dr_ovo.predictions.calibration import (
    calibration_share,
    fit_calibration,
    fit_temperature,
    temper,
    tempered_log_loss,
)
from dr_ovo.predictions.calibration_file import load_calibration, save_calibration
from dr_ovo.predictions.operating_points import fit_operating_points, summed_probability


def two_eyed(patients, seed=0):
    """Sample ids, patient ids and grades (2 x patients), the grades of both eyes independent."""
    ids = np.array([f"{p}_{side}.jpeg" for p in range(patients) for side in ("left", "right")])
    owners = np.repeat([f"{p}" for p in range(patients)], 2)
    return ids, owners, np.random.default_rng(seed).integers(5, size=2 * patients)


def test_the_share_is_the_first_hashes_of_each_grade():
    ids, owners, targets = two_eyed(150)
    share = calibration_share(ids, owners, targets)
    worst = {owner: targets[owners == owner].max() for owner in owners}
    for grade in range(5):
        members = sorted(
            (hashlib.sha256(owner.encode()).hexdigest(), owner)
            for owner, of in worst.items()
            if of == grade
        )
        chosen = {owner for owner in worst if worst[owner] == grade} & set(owners[share])
        count = round(0.3 * len(members)) if len(members) >= 10 else 0
        assert chosen == {owner for _, owner in members[:count]}
    for owner in owners:
        assert len(set(share[owners == owner])) == 1


def test_the_share_does_not_depend_on_the_order_of_the_samples():
    ids, owners, targets = two_eyed(150)
    order = np.random.default_rng(1).permutation(300)
    shuffled = calibration_share(ids[order], owners[order], targets[order])
    np.testing.assert_array_equal(calibration_share(ids, owners, targets)[order], shuffled)


def test_a_grade_of_few_patients_stays_in_selection():
    ids = np.array([f"{index}" for index in range(209)])
    targets = np.array([0] * 200 + [1] * 9)
    share = calibration_share(ids, ids, targets)
    assert share[:200].sum() == 60
    assert share[200:].sum() == 0
    ids, targets = np.append(ids, "209"), np.append(targets, 1)
    assert calibration_share(ids, ids, targets)[200:].sum() == 3


def test_a_small_val_is_not_divided():
    ids, owners, targets = two_eyed(100)
    assert calibration_share(ids, owners, targets).any()
    assert not calibration_share(ids[:-1], owners[:-1], targets[:-1]).any()


def test_an_unknown_patient_is_the_sample():
    ids, _, targets = two_eyed(150)
    unknown = calibration_share(ids, np.full(300, ""), targets)
    np.testing.assert_array_equal(unknown, calibration_share(ids, ids, targets))
    assert unknown.any()


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_a_distorted_model_is_found(true_temperature):
    random = np.random.default_rng(0)
    honest = softmax(random.normal(0, 2, (20000, 5)), axis=1)
    targets = (random.random((20000, 1)) > honest.cumsum(axis=1)[:, :-1]).sum(axis=1)
    distorted = temper(honest, 1 / true_temperature)
    assert fit_temperature(targets, distorted) == pytest.approx(true_temperature, rel=0.05)


def test_temper_by_hand_and_keeps_the_order():
    np.testing.assert_allclose(temper(np.array([[0.8, 0.2]]), 2.0), [[2 / 3, 1 / 3]])
    np.testing.assert_allclose(temper(np.array([[0.5, 0.5, 0.0]]), 1.0), [[0.5, 0.5, 0]], atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_thresholds_are_the_extreme_ones_that_keep_their_promise(seed, levels):
    random = np.random.default_rng(seed)
    targets = np.append(random.integers(5, size=50), [0, 4])
    probabilities = random.integers(1, levels + 1, size=(52, 5)).astype(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    scores, positive = summed_probability(probabilities, "referable"), targets >= 2
    points = fit_operating_points("referable", targets, probabilities)

    def sensitivity(threshold):
        return np.mean(scores[positive] >= threshold)

    def specificity(threshold):
        return np.mean(scores[~positive] < threshold)

    high = points.high_sensitivity.threshold
    assert sensitivity(high) >= 0.9
    assert sensitivity(np.nextafter(high, 2)) < 0.9
    low = points.high_specificity.threshold
    assert specificity(low) >= 0.95
    assert specificity(np.nextafter(low, -1)) < 0.95


def test_thresholds_by_hand():
    scores = np.concatenate([np.arange(1, 11) / 20, np.arange(1, 21) / 40])
    probabilities = np.stack([1 - scores, 0 * scores, scores, 0 * scores, 0 * scores], axis=1)
    points = fit_operating_points("referable", np.array([2] * 10 + [0] * 20), probabilities)
    assert points.high_sensitivity.threshold == 0.1  # 9 of the 10: all but 0.05
    assert points.high_specificity.threshold == np.nextafter(19 / 40, 1)  # 19 of the 20


def test_without_positives_or_negatives_the_reason_is_given():
    probabilities = np.full((4, 5), 0.2)
    points = fit_operating_points("vision_threatening", np.array([0, 1, 2, 2]), probabilities)
    assert points.high_sensitivity.threshold is None
    assert "no vision-threatening image" in points.high_sensitivity.reason
    assert points.high_specificity.threshold is not None
    points = fit_operating_points("referable", np.array([2, 3, 4, 4]), probabilities)
    assert "every image to fit it on is referable" in points.high_specificity.reason


def test_the_share_alone_is_fitted_on(draw):
    whole = draw(300)
    part = np.arange(300) < 90
    divided = fit_calibration(replace(whole, calibration=part), [])
    assert (divided.n, divided.divided) == (90, True)
    own = fit_temperature(whole.targets[part], whole.probabilities[part])
    assert divided.temperature == own
    undivided = fit_calibration(whole, [])
    assert (undivided.n, undivided.divided) == (300, False)
    assert undivided.temperature != own


@pytest.mark.parametrize("classes", [3, 5])
def test_the_file_gives_back_the_calibration(tmp_path, draw, classes):
    fitted = fit_calibration(draw(classes=classes), [])
    save_calibration(tmp_path / "calibration.json", fitted)
    assert load_calibration(tmp_path / "calibration.json") == fitted
    assert (fitted.referable.high_sensitivity.threshold is None) == (classes == 3)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 2}', '{"schema": 1}'])
def test_a_damaged_or_foreign_file_is_named(tmp_path, content):
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(UserError, match="Evaluate the model again"):
        load_calibration(tmp_path / "calibration.json")
    with pytest.raises(UserError, match=r"missing\.json"):
        load_calibration(tmp_path / "missing.json")


def test_the_tempered_log_loss_is_the_lowest_and_does_not_depend_on_the_temperature_before():
    rng = np.random.default_rng(3)
    targets = rng.integers(0, 4, 300)
    logits = rng.normal(size=(300, 4))
    logits[np.arange(300), targets] += 1.5
    found = tempered_log_loss(targets, softmax(0.2 * logits, axis=1))
    losses = [
        log_loss(targets, softmax(scale * logits, axis=1), labels=range(4))
        for scale in np.geomspace(0.1, 10, 400)
    ]
    assert found == pytest.approx(min(losses), abs=1e-4)
    assert tempered_log_loss(targets, softmax(2 * logits, axis=1)) == pytest.approx(found, abs=1e-6)
    assert np.isnan(tempered_log_loss(targets[:0], softmax(logits[:0], axis=1)))
