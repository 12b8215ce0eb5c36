"""Gradients are summed in one exchange, whichever of them are there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dr_ovo.distributed.gradient_sum import sum_gradients
from dr_ovo.distributed.ranks import Ranks
from dr_ovo.errors import UserError
from dr_ovo.models.network import Branch
from dr_ovo.training.optimization.guarded_optimizer import GuardedOptimizer


class Twice(Ranks):
    """Two ranks that have the same."""

    count = 2

    def __init__(self) -> None:
        self.exchanges = 0

    def sum_into(self, tensor: torch.Tensor) -> None:
        self.exchanges += 1
        tensor.mul_(2)


def test_one_exchange_sums_gradients_and_loss():
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in ((2, 3), (4,), ())]
    parameters[0].grad = torch.arange(6.0).reshape(2, 3).t().contiguous().t()  # of any layout
    parameters[2].grad = torch.tensor(5.0)
    ranks = Twice()
    total = sum_gradients(parameters, torch.tensor(1.5), ranks)
    assert ranks.exchanges == 1
    assert total == 3
    assert torch.equal(parameters[0].grad, 2 * torch.arange(6.0).reshape(2, 3))
    assert torch.equal(parameters[1].grad, torch.zeros(4))
    assert parameters[2].grad == 10


def test_ranks_with_different_values_are_an_error():
    class Different(Ranks):
        count = 2

        def gather(self, value: object) -> list[object]:
            return [value, "cpu float32"]

    Different().require_same("cpu float32", "like devices")
    with pytest.raises(
        UserError, match=r"like devices \(rank 0: cuda float16, rank 1: cpu float32\)"
    ):
        Different().require_same("cuda float16", "like devices")


def test_a_scale_is_there_where_a_rank_has_no_image():
    branch = Branch(nn.Flatten(), 4, 2, dropout=0.0)
    optimizer = GuardedOptimizer(
        branch,
        rate=1e-3,
        weight_decay=0.0,
        max_grad_norm=1.0,
        scaler=torch.amp.GradScaler("cpu"),
        device=torch.device("cpu"),
        fused=False,
    )
    optimizer.begin_scale()
    sum_gradients(optimizer.parameters, torch.tensor(0.0), Twice())
    optimizer.step(1e-3)
    assert optimizer.skipped == 0
