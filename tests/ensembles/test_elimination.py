"""Members that an ensemble can do without."""

from dataclasses import replace

import numpy as np
import pytest

from dr_ovo.ensembles.elimination import MARGIN, eliminate
from dr_ovo.synthetic.simulated_predictions import Simulation


def val_of(accuracies, patients=1000):
    """Simulated models on val: the first draw is independent of what test would be."""
    return Simulation(tuple(accuracies)).draw(patients, 2, seed=3)


def test_a_copy_is_left_out_and_a_member_that_is_missed_stays():
    good, other = val_of((0.85, 0.85), patients=2000)
    found = eliminate([good, other, other], "mean", "accuracy")
    # Two against one: without a copy the good models count the same.
    assert len(found.kept) == 2
    assert 0 in found.kept
    assert found.loss["accuracy"]["high"] < MARGIN
    alone = eliminate([good, other], "mean", "accuracy")
    assert alone.kept == (0, 1)
    assert alone.loss is None
    assert alone.losses[1]["accuracy"]["value"] == pytest.approx(
        _accuracy_of_mean([good, other]) - (good.predicted == good.targets).mean()
    )


def _accuracy_of_mean(members):
    mean = np.mean([member.probabilities for member in members], axis=0)
    return (mean.argmax(axis=1) == members[0].targets).mean()


def test_a_member_without_weight_costs_nothing():
    """Greedy gives a guesser no weight: leaving it out changes no grade, and the loss is 0."""
    good, guesser = val_of((0.85, 0.85))
    random = np.random.default_rng(0)
    even = np.full_like(guesser.probabilities, 0.2)
    guesses = random.integers(5, size=len(even))
    guesser = replace(guesser, probabilities=even, predicted=guesses)
    found = eliminate([good, guesser], "greedy", "accuracy")
    assert found.kept == (0,)
    assert found.spare == (False, True)
    assert found.losses[1]["accuracy"] == {"value": 0, "low": 0, "high": 0}


def test_a_small_val_shows_no_member_to_be_needless():
    found = eliminate(val_of((0.8, 0.8, 0.8), patients=30), "mean", "accuracy")
    assert found.kept == (0, 1, 2)
    assert found.spare == (False, False, False)


def test_the_calibration_share_takes_no_part():
    members = val_of((0.85, 0.8, 0.75), patients=200)
    share = np.arange(400) < 100
    other = np.where(share, (members[0].targets + 2) % 5, members[0].targets)
    first = [replace(member, calibration=share) for member in members]
    again = [replace(member, targets=other) for member in first]
    assert eliminate(first, "vote", "accuracy") == eliminate(again, "vote", "accuracy")
