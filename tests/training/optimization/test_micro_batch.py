"""Micro-batches: their sizes, and windows that are done again when memory is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from dr_ovo.errors import MachineError
from dr_ovo.training.optimization import probing
from dr_ovo.training.optimization.branch_trainer import BranchTrainer
from dr_ovo.training.optimization.micro_batch import MicroBatch, divisors, largest_divisor
from dr_ovo.training.optimization.probing import largest_that_fits
from tests.fixtures.slow import slow

SETTINGS = {"batch_size": 8, "gradient_accumulation_steps": 1, "ovo_dropout": 0.5}


class FullMemory(torch.autograd.Function):
    """The identity, in whose backward pass the memory is full."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")


@contextmanager
def fitting(trainer: BranchTrainer, images: int, *, checkpointed: bool = False) -> Iterator[None]:
    """Within the context no more images than these fit: the backward pass of more fails in its
    middle. None fit until gradient checkpointing is on, if `checkpointed`."""
    network_is_checkpointed: list[bool] = []

    def hook(_: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        full = len(output) > images or (checkpointed and not network_is_checkpointed)
        return FullMemory.apply(output) if full and output.requires_grad else output

    before = trainer.micro_batch._checkpoint
    trainer.micro_batch._checkpoint = lambda: before() and not network_is_checkpointed.append(True)
    handle = trainer.branch.rest.blocks[-1].register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def only_trainer(made: Any) -> BranchTrainer:
    (run,) = made.model.runs.values()
    return run.trainer


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[name] - value).abs().max()) for name, value in other.items())


@pytest.mark.parametrize("size", [2, *slow(1, 4)])
def test_dropout_does_not_depend_on_their_size(size, bench):
    made = [bench(dtype=torch.float64, micro_batch=str(number), **SETTINGS) for number in (8, size)]
    start = made[0].weights()
    for one in made:
        one.train(2)
    moved = distance(made[0].weights(), start)
    assert moved > 1e-3
    # Adam takes steps by rounding where a gradient vanishes.
    assert distance(made[0].weights(), made[1].weights()) < 1e-4 * moved


def test_a_window_is_done_again_in_halves(bench, caplog):
    whole, redone, small = (
        bench(**SETTINGS),
        bench(**SETTINGS),
        bench(micro_batch="2", **SETTINGS),
    )
    trainer = only_trainer(redone)
    with fitting(trainer, 2), caplog.at_level("WARNING"):
        redone.train(2)
    assert trainer.micro_batch.size == 2
    assert [record.getMessage().count("images at a time") for record in caplog.records] == [1, 1]
    assert "in window 1 of epoch 1" in caplog.text
    assert "CUDA out of memory" in caplog.text
    small.train(2)
    whole.train(2)
    # Nothing of the failed passes is left: the bits are those of small micro-batches throughout.
    assert small.has(redone.weights())
    assert distance(whole.weights(), redone.weights()) < 1e-2
    assert only_trainer(small).running_loss.sums.tolist() == trainer.running_loss.sums.tolist()


def test_memory_that_fills_up_later_changes_only_what_follows(bench):
    made, plain = bench(**SETTINGS), bench(**SETTINGS)
    made.train(1)
    plain.train(1)
    assert plain.has(made.weights())
    with fitting(only_trainer(made), 4):
        made.train(1)
    assert only_trainer(made).micro_batch.size == 4
    assert only_trainer(made).steps == 4


def test_checkpointing_is_the_last_resort(bench, caplog):
    made = bench(**SETTINGS)
    trainer = only_trainer(made)
    with fitting(trainer, 1, checkpointed=True), caplog.at_level("WARNING"):
        made.train(1)
    assert trainer.micro_batch.size == 1
    assert made.model.network.checkpointing
    assert "Gradient checkpointing is on from here on" in caplog.text
    small = bench(micro_batch="1", grad_checkpointing="on", **SETTINGS)
    small.train(1)
    assert small.has(made.weights())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"grad_checkpointing": "off"}, "at a micro-batch size of 1."),
        (
            {"pretrained": False, "pretrained_path": "", "freeze_weights": False},
            "at a micro-batch size of 8; live BatchNorm takes its statistics from each.",
        ),
    ],
)
def test_what_can_not_change_ends_the_run(settings, said, bench):
    made = bench(**SETTINGS, **settings)
    before = made.weights()
    with (
        fitting(only_trainer(made), 0),
        pytest.raises(MachineError, match="smaller --img_size") as full,
    ):
        made.train(1)
    assert said in str(full.value)
    assert "--batch_size" not in str(full.value)
    trained = [name for name, _ in made.model.network.named_parameters()]
    assert made.has({name: before[name] for name in trained})


def test_divisors():
    assert divisors(12) == [12, 6, 4, 3, 2, 1]
    assert [largest_divisor(12, limit) for limit in (12, 5, 3, 1, 0)] == [12, 4, 3, 1, 1]


def test_halves_divide_the_window():
    sizes, batch = [], MicroBatch(12, 12)
    while batch.size > 1:
        batch.shrink("full", "here")
        sizes.append(batch.size)
    assert sizes == [6, 3, 1]
    with pytest.raises(MachineError, match=r"full here \(full\), at a micro-batch size of 1\."):
        batch.shrink("full", "here")


FITTING = [(100, 8), (7, 4), (1, 1), (0, 1)]  # images, and the largest divisor of 8 up to that


@pytest.mark.parametrize(
    ("fits", "size", "ovo_mode"),
    [(*case, "shared") for case in FITTING]
    + [(7, 4, "independent")]  # of ten networks, which take a while
    + [
        pytest.param(*case, "independent", marks=pytest.mark.slow)
        for case in FITTING
        if case != (7, 4)
    ],
)
def test_the_largest_that_fits(fits, size, ovo_mode, bench, monkeypatch):
    made = bench(ovo_mode=ovo_mode, **SETTINGS)
    trainers = [run.trainer for run in made.model.runs.values()]
    before = made.weights()
    with fitting(trainers[0], fits):
        assert largest_that_fits(made.model.network, trainers, 32, 8) == size
    # A trial leaves neither gradients nor moments behind.
    assert made.has(before)
    assert all(p.grad is None for one in trainers for p in one.branch.parameters())
    assert not any(one.optimizer.adamw.state for one in trainers)


def test_room_is_kept_for_the_moments_of_all_branches(bench):
    made = bench(ovo_mode="independent", **SETTINGS)
    trainers = [run.trainer for run in made.model.runs.values()]
    beside = probing._allocated_later(trainers, torch.device("cpu"), 100, 32)
    weights = sum(p.numel() for one in trainers for p in one.branch.parameters())
    assert sum(tensor.numel() for tensor in beside) == 2 * weights


def test_a_gpu_too_small_for_the_moments_is_left_to_training(bench, monkeypatch):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    made = bench(**SETTINGS)
    monkeypatch.setattr(torch, "empty_like", full)
    assert largest_that_fits(made.model.network, [only_trainer(made)], 32, 8) == 1
