"""The grader on image statistics alone."""

import json

import numpy as np
import pytest

from dr_ovo.audit.grade_signal.statistics_model import (
    KNOTS,
    StatisticsModel,
    fit_statistics_model,
    read_statistics_model,
)
from dr_ovo.audit.image_statistics import statistics_names
from dr_ovo.errors import UserError
from tests.conftest import real_data

GRADES = ("0", "1", "2", "3", "4")


def drawn(count: int, seed: int, *, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Statistics (count, 6) of three grades, of which the first two tell something."""
    rng = np.random.default_rng(seed)
    grades = np.arange(count) % 3
    statistics = rng.normal(size=(count, 6))
    statistics[:, 0] += shift * grades
    statistics[:, 1] = np.round(statistics[:, 1] + (grades == 2))  # many equal values
    statistics[:, 5] = 7.0  # such as one file format for all
    return statistics, grades


def fitted(statistics: np.ndarray, grades: np.ndarray, **counts: int) -> StatisticsModel:
    counts = counts or {name: int((grades == int(name[1])).sum()) for name in ("g0", "g1", "g2")}
    names = [f"s{number}" for number in range(statistics.shape[1])]
    model = fit_statistics_model(names, statistics, grades, counts)
    assert model is not None
    return model


def test_it_grades_new_pictures_by_their_statistics():
    model = fitted(*drawn(600, 0))
    statistics, grades = drawn(300, 1)
    shares = model.probabilities(statistics)
    assert shares.shape == (300, 3)
    assert shares.sum(axis=1) == pytest.approx(1)
    assert (shares > 0).all()
    assert (shares.argmax(axis=1) == grades).mean() > 0.55
    blind, _ = drawn(300, 1, shift=0.0)
    assert (fitted(*drawn(600, 0, shift=0.0)).probabilities(blind)[:, 0].std()) < 0.25


def test_pictures_unlike_any_in_train_are_graded_too():
    model = fitted(*drawn(600, 0))
    extreme = np.array([[1e9] * 6, [-1e9] * 6])
    shares = model.probabilities(extreme)
    assert np.isfinite(shares).all()
    assert shares[0].argmax() == 2
    assert shares[1].argmax() == 0


def test_json_holds_it_to_single_precision():
    model = fitted(*drawn(600, 0))
    again = read_statistics_model(json.loads(json.dumps(model.to_dict())))
    statistics, _ = drawn(50, 2)
    assert again.classes == ("g0", "g1", "g2")
    assert again.names == model.names
    difference = again.probabilities(statistics) - model.probabilities(statistics)
    assert np.abs(difference).max() < 1e-5


def test_the_prevalence_of_train_is_restored_from_a_balanced_sample():
    statistics, grades = drawn(600, 0, shift=0.3)
    common = fitted(statistics, grades, g0=9000, g1=500, g2=500)
    assert common.levels == pytest.approx([0.9, 0.05, 0.05])
    assert common.probabilities(statistics).mean(axis=0) == pytest.approx(
        [0.9, 0.05, 0.05], abs=0.08
    )


def test_a_grade_that_train_lacks_has_no_model():
    statistics, grades = drawn(60, 0)
    kept = grades < 2
    names = [f"s{number}" for number in range(6)]
    counts = {"g0": 20, "g1": 20, "g2": 0}
    assert fit_statistics_model(names, statistics[kept], grades[kept], counts) is None


@pytest.mark.parametrize(
    "change",
    [
        {"knots": "no base64!"},
        {"levels": ""},
        {"slopes": None},
        {"names": "one two"},
        {"centre": "AADAfw=="},  # a NaN
    ],
)
def test_a_damaged_model_is_refused(change):
    stored = fitted(*drawn(60, 0)).to_dict() | change
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        read_statistics_model(stored)


def test_aptos_is_graded_in_part_by_its_cameras():
    """3,564 photographs of APTOS 2019 in numbers: what the names are, and what they tell."""
    with np.load(real_data("aptos_statistics") / "aptos_statistics.npz") as held:
        statistics, grades = held["statistics"], held["grades"].astype(int)
        assert tuple(held["names"]) == statistics_names()
    train = np.random.default_rng(1).permutation(len(grades)) < 2700
    counts = dict(zip(GRADES, np.bincount(grades[train]).tolist(), strict=True))
    model = fit_statistics_model(statistics_names(), statistics[train], grades[train], counts)
    assert model is not None
    assert model.knots.shape == (KNOTS, len(statistics_names()))
    predicted = model.probabilities(statistics[~train]).argmax(axis=1)
    assert 0.68 < (predicted == grades[~train]).mean() < 0.78
