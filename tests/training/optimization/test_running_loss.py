"""The mean loss of an epoch: per cell, without what overflowed, asked of the device once."""

from __future__ import annotations

import math

import pytest
import torch

from dr_ovo.training.optimization.running_loss import RunningLoss, mean_losses
from tests.fixtures.waiting import NothingWaits

CPU = torch.device("cpu")


def test_by_hand():
    shared, pair, unused = RunningLoss(4, CPU), RunningLoss(1, CPU), RunningLoss(4, CPU)
    for total, samples in ((8.0, 2), (6.0, 1)):
        shared.add(torch.tensor(total), samples)
    pair.add(torch.tensor(3.0), 2)
    assert mean_losses([shared, pair, unused]) == [14 / (3 * 4), 1.5, 0.0]
    assert mean_losses([]) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_overflowed_is_left_out_with_its_samples(bad):
    loss = RunningLoss(2, CPU)
    for total, samples in ((8.0, 2), (bad, 5), (4.0, 1)):
        loss.add(torch.tensor(total), samples)
    assert mean_losses([loss]) == [12 / (3 * 2)]


def test_nothing_waits_until_it_is_asked():
    losses, total = [RunningLoss(1, CPU) for _ in range(2)], torch.tensor(1.0)
    with NothingWaits():
        for loss in losses:
            loss.add(total, 3)
