"""What a network is built from: its loss, by the photographs that it learns from."""

from __future__ import annotations

import math

import pytest


def test_the_shift_of_thresholds_is_what_a_balanced_sampler_adds(bench):
    """Three images of each grade 0 to 3 and one of grade 4; it draws 3, 3, 3, 2 and 2."""
    made = bench(head="ordinal", sampler="balanced", enable_focal_loss=False)
    (run,) = made.model.runs.values()
    drawn, natural = (3, 3, 3, 2, 2), (3, 3, 3, 3, 1)
    odds = [[sum(n[k:]) / sum(n[:k]) for k in range(1, 5)] for n in (drawn, natural)]
    expected = [math.log(one / other) for one, other in zip(*odds, strict=True)]
    assert list(run.trainer.loss.prior_shift) == pytest.approx(expected, abs=1e-6)
    assert max(map(abs, expected)) > 0.5


def test_the_shift_of_thresholds_is_what_an_alpha_per_grade_adds(bench):
    alpha = (1.0, 1.0, 1.0, 2.0, 4.0)
    made = bench(head="ordinal", focal_loss_alpha=alpha, enable_class_weights=False)
    (run,) = made.model.runs.values()
    weighed = [n * a for n, a in zip((3, 3, 3, 3, 1), alpha, strict=True)]
    odds = [[sum(n[k:]) / sum(n[:k]) for k in range(1, 5)] for n in (weighed, (3, 3, 3, 3, 1))]
    expected = [math.log(one / other) for one, other in zip(*odds, strict=True)]
    assert list(run.trainer.loss.prior_shift) == pytest.approx(expected, abs=1e-6)
