"""Split conformal sets: against MAPIE, their coverage over many draws, and when they promise it."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.classification import SplitConformalClassifier
from scipy.stats import beta
from sklearn.base import BaseEstimator, ClassifierMixin

from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.conformal import (
    ALL,
    OTHER,
    REFERABLE,
    Conformal,
    covered,
    cross_fitted_sets,
    fit_conformal,
)


class Known(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are its input."""

    classes_ = np.arange(5)

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Known":
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return x

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x.argmax(axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def graded(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Grades (n,) and probabilities (n, 5) that know them in part."""
    targets = rng.choice(5, count, p=[0.5, 0.08, 0.27, 0.08, 0.07])
    logits = rng.normal(size=(count, 5)) - 0.8 * np.abs(targets[:, None] - np.arange(5))
    weights = np.exp(logits)
    return targets, weights / weights.sum(axis=1, keepdims=True)


def fitted(targets: np.ndarray, probabilities: np.ndarray) -> Conformal:
    scores = 1 - probabilities[np.arange(len(targets)), targets]
    return Conformal(tuple(scores.tolist()), tuple(targets.tolist()), 5)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_are_those_of_mapie_with_gaps_filled(coverage):
    rng = np.random.default_rng(3)
    # Fewer than 19 of them are not referable: all have one threshold, as in MAPIE.
    targets, probabilities = graded(rng, 300)
    few = np.flatnonzero(targets >= 2).tolist() + np.flatnonzero(targets < 2).tolist()[:15]
    own = fitted(targets[few], probabilities[few])
    assert [*own.groups] == [ALL]
    reference = SplitConformalClassifier(
        Known(), confidence_level=coverage, conformity_score="lac", prefit=True
    ).conformalize(probabilities[few], targets[few])
    _, new = graded(rng, 200)
    (theirs,) = np.moveaxis(reference.predict_set(new)[1], 2, 0)
    theirs[np.arange(200), new.argmax(axis=1)] = True
    sets = own.sets(new, coverage)
    assert (sets[:, 0] == theirs.argmax(axis=1)).all()
    assert (sets[:, 1] == 4 - theirs[:, ::-1].argmax(axis=1)).all()
    sizes = sets[:, 1] - sets[:, 0] + 1
    assert (sizes > theirs.sum(axis=1)).any()  # a gap was filled


@pytest.mark.parametrize(("count", "low", "high"), [(59, 0.83, 0.95), (300, 0.87, 0.93)])
def test_the_spread_is_that_of_a_beta_distribution(count, low, high):
    own = Conformal((0.5,) * count, (0,) * count, 5)
    ((number, *found),) = own.spread(0.9).values()
    assert number == count
    assert found == pytest.approx([low, high], abs=0.005)
    outside = (count + 1) // 10
    assert found == pytest.approx(beta.ppf([0.05, 0.95], count + 1 - outside, outside))


def test_coverage_over_a_thousand_draws():
    """On average what was asked for, in both groups, and as spread out as the beta says."""
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {ALL: [], REFERABLE: [], OTHER: []}
    for _ in range(1000):
        targets, probabilities = graded(rng, 1300)
        own = fitted(targets[:300], probabilities[:300])
        scores = 1 - probabilities[np.arange(1300), targets]
        inside = scores[300:] <= own.thresholds(0.9)[targets[300:]]  # before gaps are filled
        referable = targets[300:] >= 2
        assert (covered(own.sets(probabilities[300:], 0.9), targets[300:]) >= inside).all()
        found[ALL].append(inside.mean())
        found[REFERABLE].append(inside[referable].mean())
        found[OTHER].append(inside[~referable].mean())
    assert own.spread(0.9).keys() == {REFERABLE, OTHER}
    for values in found.values():
        assert 0.9 <= np.mean(values) <= 0.91
    assert 0.005 < np.std(found[ALL]) < 0.025


def test_too_few_for_the_coverage_give_every_grade():
    own = Conformal((0.1,) * 8, (0,) * 8, 5)  # at 0.9 nine are needed
    assert own.sets(np.eye(5), 0.9).tolist() == [[0, 4]] * 5
    more = Conformal((0.1,) * 9, (0,) * 9, 5)
    assert more.sets(np.eye(5), 0.9).tolist() == [[grade, grade] for grade in range(5)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([0.5, 0.8, 0.9, 0.99]))
def test_a_set_is_a_run_with_the_most_probable_grade(seed, count, coverage):
    rng = np.random.default_rng(seed)
    own = fitted(*graded(rng, count))
    _, new = graded(rng, 20)
    sets = own.sets(new, coverage)
    assert covered(sets, new.argmax(axis=1)).all()
    assert (sets >= 0).all()
    assert (sets <= 4).all()
    wider = own.sets(new, 0.999)
    assert (wider[:, 0] <= sets[:, 0]).all()
    assert (wider[:, 1] >= sets[:, 1]).all()


def test_one_photograph_of_each_patient(draw):
    p = draw(count=60)
    pairs = replace(p, patient_ids=np.repeat([f"p{number}" for number in range(30)], 2))
    own = fit_conformal(pairs, np.ones(60, bool), ())
    assert len(own.scores) == 30
    again = replace(pairs, sample_ids=pairs.sample_ids[::-1].copy())
    assert len(fit_conformal(again, np.ones(60, bool), ()).scores) == 30
    unknown = replace(p, patient_ids=np.full(60, ""))
    assert len(fit_conformal(unknown, np.ones(60, bool), ()).scores) == 60


def test_a_share_without_a_grade_promises_nothing(draw):
    p = draw(count=400)
    share = np.arange(400) % 2 == 0
    whole = fit_calibration(replace(p, calibration=share), [])
    assert whole.conformal is not None
    assert whole.conformal.chosen == ()
    without = fit_calibration(replace(p, calibration=share & (p.targets != 1)), ["a reason"])
    assert without.conformal is not None
    first, second = without.conformal.chosen
    assert first == "a reason"
    assert "has too few patients in val" in second


def test_cross_fitted_sets_are_made_by_others(draw):
    p = draw(count=500)
    sets = cross_fitted_sets(p)
    assert 0.85 < covered(sets, p.targets).mean() < 0.97
    one = dataclasses.replace(p, targets=np.where(np.arange(500) == 7, 4 - p.targets, p.targets))
    assert cross_fitted_sets(one)[7].tolist() == sets[7].tolist()  # not by its own grade
