"""Samples leave in the order in which they came, in micro-batches of any size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dr_ovo.training.optimization.feature_queue import FeatureQueue


def samples(first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (count, 2, 3) and targets (count,), numbered from `first`."""
    numbers = torch.arange(first, first + count)
    return numbers.float().view(-1, 1, 1).expand(count, 2, 3).contiguous(), numbers


@given(pushed=st.lists(st.integers(0, 5), min_size=1, max_size=6), batch=st.integers(1, 4))
def test_first_in_first_out(pushed, batch):
    queue, came, left = FeatureQueue(), 0, []
    for count in pushed:
        queue.push(*samples(came, count))
        came += count
        while len(queue) >= batch:
            left.append(queue.pop(batch))
            assert len(left[-1][0]) == len(left[-1][1]) == batch
    if len(queue):
        left.append(queue.pop(len(queue)))
    assert len(queue) == 0
    found = torch.cat([targets for _, targets in left]) if left else torch.zeros(0)
    assert found.tolist() == list(range(came))
    for features, targets in left:
        assert torch.equal(features, targets.float().view(-1, 1, 1).expand_as(features))


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_a_micro_batch_begins_where_its_memory_does_and_keeps_its_format(form):
    queue = FeatureQueue()
    images = torch.randn(5, 3, 4, 4).contiguous(memory_format=form)
    for part in (images[:3], images[3:]):
        queue.push(part, torch.zeros(len(part)))
    for count in (2, 2, 1):
        features, _ = queue.pop(count)
        assert features.storage_offset() == 0
        assert features.is_contiguous(memory_format=form)


def test_features_leave_their_graph_behind():
    queue = FeatureQueue()
    features = torch.ones(2, 3, requires_grad=True) * 2
    queue.push(features, torch.zeros(2))
    assert not queue.pop(2)[0].requires_grad
