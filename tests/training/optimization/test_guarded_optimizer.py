"""Steps without finite gradients change nothing, on every kind of device."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from dr_ovo.models.network import Branch
from dr_ovo.models.precision import Precision
from dr_ovo.training.optimization.guarded_optimizer import (
    MAX_SKIPPED_IN_A_ROW,
    MIN_SCALE,
    GuardedOptimizer,
)
from tests.fixtures.waiting import NothingWaits

CPU = torch.device("cpu")
FLOATS = (None, torch.bfloat16, torch.float16)
GOOD, NAN, INFINITE = 1.0, math.nan, math.inf


def optimizer(
    *,
    fused: bool = True,
    dtype: torch.dtype | None = None,
    clip: float = 1.0,
    layer_decay: float = 1.0,
) -> GuardedOptimizer:
    """For a small branch, always the same."""
    torch.manual_seed(0)
    branch = Branch(torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU()), 6, 3, 0.0)
    return GuardedOptimizer(
        branch, rate=1e-2, weight_decay=0.1, max_grad_norm=clip,
        scaler=Precision(CPU, dtype).scaler(), device=CPU, fused=fused, layer_decay=layer_decay,
    )  # fmt: skip


def values(made: GuardedOptimizer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in made.parameters])


def go(made: GuardedOptimizer, factor: float) -> None:
    """A step whose gradients are multiples of `factor`."""
    total = sum((p * torch.arange(p.numel()).view_as(p)).sum() for p in made.parameters)
    made.backward(total * factor)
    made.step(1e-2)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bad", [NAN, INFINITE, -INFINITE])
def test_a_step_with_bad_gradients_changes_no_weight_and_no_moment(bad, dtype, fused):
    made, spared = (optimizer(fused=fused, dtype=dtype) for _ in range(2))
    for factor in (GOOD, bad, GOOD):
        go(made, factor)
    for factor in (GOOD, GOOD):
        go(spared, factor)
    assert made.skipped == 1
    if dtype is not torch.float16:  # whose scale, and so its rounding, changes
        assert torch.equal(values(made), values(spared))
        moments = [made.state_dict()["optimizer"]["state"][0] for made in (made, spared)]
        assert all(torch.equal(moments[0][name], moments[1][name]) for name in moments[0])
    assert torch.allclose(values(made), values(spared), atol=1e-6)
    assert made.is_out_of_control() == (dtype is not torch.float16)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_step_waits_for_nothing(dtype):
    made = optimizer(dtype=dtype)
    go(made, GOOD)
    with NothingWaits():
        go(made, GOOD)
        go(made, NAN)
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NothingWaits():
        made.is_out_of_control()


def set_scale(made: GuardedOptimizer, scale: float) -> None:
    made.scaler.load_state_dict({**made.scaler.state_dict(), "scale": scale})


def test_float16_may_leave_out_so_many_in_a_row_and_no_more():
    made = optimizer(dtype=torch.float16)
    set_scale(made, 2.0**40)  # so that it is their number that counts
    for _ in range(MAX_SKIPPED_IN_A_ROW):
        go(made, INFINITE)
    go(made, GOOD)
    go(made, INFINITE)
    assert not made.is_out_of_control()
    assert made.skipped == MAX_SKIPPED_IN_A_ROW + 1
    set_scale(made, 2.0**40)
    for _ in range(MAX_SKIPPED_IN_A_ROW):
        go(made, INFINITE)
    assert made.is_out_of_control()
    go(made, GOOD)  # it stays so until the epoch ends
    assert made.is_out_of_control()
    made.begin_epoch()
    assert (made.is_out_of_control(), made.skipped) == (False, 0)


@pytest.mark.parametrize("resumed", [False, True])
def test_steps_in_a_row_are_counted_over_the_ends_of_epochs(resumed):
    made = optimizer(dtype=torch.float16)
    for epoch in range(1, 4):  # of so many steps that it takes three
        made.begin_epoch()
        for _ in range(MAX_SKIPPED_IN_A_ROW // 3 + 1):
            go(made, INFINITE)
        set_scale(made, 2.0**16)  # so that it is their number that counts
        assert made.is_out_of_control() == (epoch == 3)
        assert made.skipped == MAX_SKIPPED_IN_A_ROW // 3 + 1
        if resumed:
            kept, made = saved(made), optimizer(dtype=torch.float16)
            made.load_state_dict(kept)


def test_a_scale_that_is_next_to_nothing_is_out_of_control():
    made = optimizer(dtype=torch.float16)
    for _ in range(2):
        for _ in range(MAX_SKIPPED_IN_A_ROW // 2):
            go(made, INFINITE)
        assert not made.is_out_of_control()
        go(made, GOOD)
    assert made.scaler.get_scale() == MIN_SCALE
    go(made, INFINITE)
    assert made.is_out_of_control()


def test_states_of_earlier_versions_count_no_steps():
    made, old = optimizer(dtype=torch.float16), optimizer(dtype=torch.float16)
    go(old, INFINITE)
    go(made, INFINITE)
    state = saved(old)
    assert state.pop("skipped_in_a_row") == 1
    made.load_state_dict(state)
    assert saved(made)["skipped_in_a_row"] == 0


def test_foreach_has_the_bits_of_a_loop():
    made = optimizer(fused=False)
    loop = optimizer(fused=False)
    for group in loop.adamw.param_groups:
        group["foreach"] = False
    for step in range(5):
        for one in (made, loop):
            go(one, 0.1 + step)
    assert torch.equal(values(made), values(loop))


@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_clipping(clip):
    made = optimizer(clip=clip)
    norms: list[float] = []
    made.adamw.register_step_pre_hook(
        lambda *_: norms.append(
            float(torch.cat([p.grad.flatten() for p in made.parameters]).norm())
        )
    )
    go(made, GOOD)
    assert norms == [pytest.approx(clip, rel=1e-3)] if clip else norms[0] > 1


def saved(made: GuardedOptimizer) -> dict[str, Any]:
    return copy.deepcopy(made.state_dict())


@pytest.mark.parametrize("fused", [True, False])
def test_a_state_goes_on_in_the_other_kind_of_step(fused):
    made, other = optimizer(fused=fused), optimizer(fused=not fused)
    for _ in range(3):
        go(made, GOOD)
    other.load_state_dict(saved(made))
    for mine, kept in zip(other.parameters, made.parameters, strict=True):
        mine.data.copy_(kept.data)
    for factor in (GOOD, NAN, GOOD):
        for one in (made, other):
            go(one, factor)
    assert [group["fused"] for group in other.adamw.param_groups] == [not fused] * 2
    assert torch.allclose(values(made), values(other), atol=1e-6)


@pytest.mark.parametrize("before", [None, torch.bfloat16])
def test_a_state_without_a_scaler_goes_on_with_a_fresh_one(before):
    made = optimizer(dtype=before)
    go(made, GOOD)
    resumed = optimizer(dtype=torch.float16)
    resumed.load_state_dict(saved(made))
    go(resumed, GOOD)
    assert resumed.skipped == 0
    assert resumed.scaler.get_scale() == torch.amp.GradScaler("cpu").get_scale()
    assert saved(made)["scaler"] == {}


@pytest.mark.parametrize("after", [None, torch.bfloat16, torch.float16])
def test_a_state_with_a_scaler_goes_on_in_any_precision(after):
    made = optimizer(dtype=torch.float16)
    go(made, INFINITE)
    resumed = optimizer(dtype=after)
    resumed.load_state_dict(saved(made))
    go(resumed, GOOD)
    assert resumed.skipped == 0
    if after is torch.float16:
        assert resumed.scaler.get_scale() == made.scaler.get_scale()


@pytest.mark.parametrize("fused", [True, False])
def test_with_layer_decay_a_layer_steps_by_its_share_of_the_rate(fused):
    # AdamW's first step is the rate, whatever the gradient; biases have no weight decay to add.
    made = optimizer(fused=fused, layer_decay=0.25)
    before = [p.detach().clone() for p in made.parameters]
    go(made, GOOD)
    rest, head = (before[i] - made.parameters[i].detach() for i in (1, 3))
    assert torch.allclose(rest[1:], torch.full((5,), 0.25e-2), rtol=1e-4)  # the first gradient is 0
    assert torch.allclose(head[1:], torch.full((2,), 1e-2), rtol=1e-4)


@pytest.mark.parametrize("fused", [True, False])
def test_with_layer_decay_a_state_goes_on_bit_for_bit(fused):
    made, resumed = (optimizer(fused=fused, layer_decay=0.5) for _ in range(2))
    go(made, GOOD)
    resumed.load_state_dict(saved(made))
    for mine, kept in zip(resumed.parameters, made.parameters, strict=True):
        mine.data.copy_(kept.data)
    for factor in (GOOD, NAN, GOOD):
        for one in (made, resumed):
            go(one, factor)
    assert torch.equal(values(made), values(resumed))
    rates = {group["lr_scale"]: group["lr"] for group in resumed.adamw.param_groups}
    assert rates == {1.0: 1e-2, 0.5: 0.5e-2}
