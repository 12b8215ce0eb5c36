"""Learning rates computed by hand; the image order as a function of seed and epoch only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dr_ovo.settings.groups.schedule import ScheduleOptions
from dr_ovo.training.optimization.schedule import (
    PLATEAU_PATIENCE,
    Plateau,
    Schedule,
    balanced_counts,
    create_schedule,
    epoch_order,
)

# Peak 1, floor 0.1, two warm-up steps of ten: rates by step, from the formulas.
BY_HAND = {
    "cosine": {2: 1.0, 4: 0.8681981, 6: 0.55, 8: 0.2318019, 10: 0.1, 12: 0.1},
    "linear": {2: 1.0, 4: 0.775, 6: 0.55, 8: 0.325, 10: 0.1, 12: 0.1},
    "none": {2: 1.0, 6: 1.0, 12: 1.0},
    "plateau": {2: 1.0, 6: 1.0, 12: 1.0},
}


@pytest.mark.parametrize("kind", BY_HAND)
def test_rates_by_hand(kind):
    schedule = Schedule(kind, peak=1.0, floor=0.1, total=10, warmup=2)
    warmup = {0: 0.5, 1: 1.0}
    expected = warmup | BY_HAND[kind]
    assert {step: schedule.rate(step) for step in expected} == pytest.approx(expected)


def test_a_plateau_scales_the_rate_after_warmup_down_to_the_floor():
    schedule = Schedule("plateau", peak=1.0, floor=0.1, total=10, warmup=2)
    assert schedule.rate(0, scale=0.5) == 0.5
    assert schedule.rate(5, scale=0.5) == 0.5
    assert schedule.rate(5, scale=0.01) == 0.1


@pytest.mark.parametrize("kind", ["cosine", "linear"])
@given(
    total=st.integers(1, 500),
    share=st.floats(0, 0.9),
    peak=st.floats(1e-6, 1),
    floor_share=st.floats(0, 1),
)
def test_rates_rise_to_the_peak_then_fall_to_the_floor(kind, total, share, peak, floor_share):
    warmup, floor = int(share * total), peak * floor_share
    schedule = Schedule(kind, peak, floor, total, warmup)
    rates = np.array([schedule.rate(step) for step in range(total + 1)])
    assert np.all(np.diff(rates[:warmup]) > 0)
    assert np.all(np.diff(rates[warmup:]) <= 1e-12)
    assert rates.max() == pytest.approx(peak)
    assert rates[-1] == pytest.approx(floor)


@pytest.mark.parametrize(
    ("epochs", "warmup_epochs", "epoch_steps", "total", "warmup"),
    [
        (10, 2, 3, 30, 6),
        (10, 0, 3, 30, 0),
        (10, 10, 8, 80, 8),  # does not fit: a tenth of all steps
        (5, 10, 8, 40, 4),
        (1, 10, 3, 3, 1),  # never less than one
    ],
)
def test_steps_of_a_run(epochs, warmup_epochs, epoch_steps, total, warmup):
    options = ScheduleOptions(epochs=epochs, warmup_epochs=warmup_epochs)
    schedule = create_schedule(options, epoch_steps)
    assert (schedule.total, schedule.warmup) == (total, warmup)


def test_a_plateau_halves_the_rate_when_val_loss_no_longer_falls():
    plateau = Plateau()
    for loss in (1.0, 0.9, *[0.9] * PLATEAU_PATIENCE):
        plateau.update(loss)
    assert plateau.scale == 1.0
    plateau.update(0.95)
    assert plateau.scale == 0.5
    assert Plateau(**plateau.state_dict()) == plateau


def test_a_plateau_does_not_count_epochs_without_a_val_loss():
    plateau = Plateau()
    plateau.update(1.0)
    before = plateau.state_dict()
    for _ in range(20):
        plateau.update(None)
    assert plateau.state_dict() == before


COUNTS = st.lists(st.integers(1, 20), min_size=2, max_size=5)


def grades(counts: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


@given(counts=COUNTS, seed=st.integers(0, 2**32), epoch=st.integers(1, 1000))
def test_a_natural_epoch_holds_each_image_once(counts, seed, epoch):
    order = epoch_order(grades(counts), "natural", seed, epoch)
    assert sorted(order) == list(range(sum(counts)))


@given(counts=COUNTS, seed=st.integers(0, 2**32), epoch=st.integers(1, 1000))
def test_a_balanced_epoch_holds_the_grades_equally_often(counts, seed, epoch):
    targets = grades(counts)
    order = epoch_order(targets, "balanced", seed, epoch)
    drawn = np.bincount(targets[order], minlength=len(counts))
    assert len(order) == len(targets)
    assert drawn.max() - drawn.min() <= 1
    assert drawn.tolist() == balanced_counts(targets).tolist()  # the same in every epoch
    for grade in range(len(counts)):  # within a grade no image comes twice before all came once
        repeats = np.bincount(order, minlength=len(targets))[targets == grade]
        assert repeats.max() - repeats.min() <= 1


def test_common_images_take_turns_over_balanced_epochs():
    targets = grades([40, 4])
    seen = np.concatenate([epoch_order(targets, "balanced", 1, epoch) for epoch in range(1, 21)])
    assert set(seen.tolist()) == set(range(44))


@pytest.mark.parametrize("sampler", ["natural", "balanced"])
def test_the_order_follows_from_seed_and_epoch_alone(sampler):
    targets = grades([12, 7, 3])

    def order(seed: int, epoch: int) -> list[int]:
        np.random.default_rng().random()  # whatever else was drawn
        return epoch_order(targets, sampler, seed, epoch).tolist()

    assert order(3, 5) == order(3, 5)
    assert order(3, 5) != order(3, 6)
    assert order(3, 5) != order(4, 5)


@given(counts=COUNTS, seed=st.integers(0, 2**32), epoch=st.integers(1, 1000))
def test_weights_that_balance_draw_as_the_grades_counts_do(counts, seed, epoch):
    targets = grades(counts)
    weights = np.round(len(targets) / (len(counts) * np.array(counts)), 6)[targets]
    order = epoch_order(targets, "balanced", seed, epoch, weights)
    assert balanced_counts(targets, weights).tolist() == balanced_counts(targets).tolist()
    assert np.bincount(targets[order]).tolist() == balanced_counts(targets).tolist()
    assert (
        epoch_order(targets, "natural", seed, epoch, weights).tolist()
        == epoch_order(targets, "natural", seed, epoch).tolist()
    )


@given(weights=st.lists(st.integers(1, 9), min_size=2, max_size=12), seed=st.integers(0, 2**32))
def test_an_image_is_drawn_in_proportion_to_its_weight(weights, seed):
    share = np.array(weights) * len(weights) / sum(weights)
    order = epoch_order(np.zeros(len(weights), int), "balanced", seed, 1, np.array(weights, float))
    drawn = np.bincount(order, minlength=len(weights))
    assert len(order) == len(weights)
    assert (drawn >= np.floor(share - 1e-9)).all()
    assert (drawn <= np.ceil(share + 1e-9)).all()


def test_weights_shift_the_shares_of_the_grades():
    targets = grades([6, 2])
    weights = np.array([1.0] * 6 + [1.0] * 2)
    assert balanced_counts(targets, weights).tolist() == [6, 2]
    assert balanced_counts(targets, weights * [3, 3, 3, 3, 3, 3, 1, 1]).tolist() == [7, 1]
