"""Every benchmark, at a tiny size: all ways run and each row is there. No time is judged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from benchmarks import data_path, growth, ovo_cost, reports, timm_loop, trainer_overhead
from benchmarks.ovo_cost import Network
from benchmarks.ovo_ways import SeparateClassifiers
from benchmarks.photographs import Size, draw_photographs
from benchmarks.results import Result
from benchmarks.timing import Work
from benchmarks.timm_loop import timm_epoch
from benchmarks.trainer_overhead import BareLoop
from benchmarks.trainings import training
from dr_ovo.results.result_sets import SUFFIX

SMALL = ("--img_size", "64", "--batch_size", "8", "--gradient_accumulation_steps", "1")
SMALL = (*SMALL, "--train_sample", "0")
RANDOM = (*SMALL, "--no_pretrained")
SPLITS = {"train": 2, "val": 1, "test": 1}
TINY = {
    data_path: Size(per_grade=1, side=96, img_size=64, rounds=1),
    trainer_overhead: Size(per_grade=1, side=96, img_size=32, rounds=1),
    timm_loop: Size(per_grade=1, side=96, img_size=64, rounds=1),
    growth: growth.Size(per_grade=(1, 2), with_classes=30, side=64, img_size=64, rounds=1),
    ovo_cost: ovo_cost.Size(
        (Network("tiny", "test_resnet", ("--no_pretrained",), 0.2, 0.75),),
        per_grade=1, tested_per_grade=1, side=96, img_size=32, rounds=1,
    ),
}  # fmt: skip
ROWS = {
    data_path: ["data_path_cold", "data_path_cached"],
    trainer_overhead: ["trainer_overhead_plain", "trainer_overhead_augmented"],
    timm_loop: ["timm_loop_equal", "timm_loop_defaults"],
    growth: ["growth_photographs", "growth_classes"],
    ovo_cost: ["ovo_cost_shared_tiny", "ovo_cost_independent_tiny", "ovo_cost_evaluated_tiny"],
    reports: ["reports_growth"],
}


def check_rows(found: list[Result], names: list[str]) -> None:
    assert [row.name for row in found] == names
    for row in found:
        assert row.what
        assert math.isfinite(row.spread.median)
        assert row.spread.low <= row.spread.median <= row.spread.high


@pytest.fixture(autouse=True)
def few_processes(monkeypatch) -> None:
    """Loaders of others read with one process each, whatever the machine has, and this one decodes
    into the cache: processes take half a second to start."""
    for module in ("benchmarks.plain_training", "benchmarks.timm_loop"):
        monkeypatch.setattr(f"{module}.available_cores", lambda: 1)
    monkeypatch.setattr("dr_ovo.decoded.build._processes", lambda *_: 0)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    return draw_photographs(tmp_path_factory.mktemp("drawn") / "data", SPLITS, 96)


LONG = (growth, ovo_cost, timm_loop, trainer_overhead)  # more than a second


@pytest.mark.parametrize(
    "module",
    [pytest.param(one, marks=[pytest.mark.slow] if one in LONG else []) for one in TINY],
    ids=lambda module: module.__name__,
)
def test_a_benchmark_at_a_tiny_size(module, tmp_path):
    check_rows(module.measure(TINY[module], tmp_path), ROWS[module])


@pytest.mark.slow
def test_the_reports_at_a_tiny_size(tmp_path):
    size = reports.Size(images=(80, 100), rounds=1)
    check_rows(reports.measure(size, tmp_path), ROWS[reports])
    for count in size.images:
        assert len(list((tmp_path / str(count)).glob(f"*{SUFFIX}"))) == 7
        assert (tmp_path / str(count) / "report.html").stat().st_size > 0


def test_drawn_photographs_are_the_same_twice_and_no_two_alike(photographs, tmp_path):
    again = draw_photographs(tmp_path / "again", SPLITS, 96)
    files = sorted(photographs.rglob("*.jpeg"))
    contents = [file.read_bytes() for file in files]
    assert len(set(contents)) == len(files) == 5 * sum(SPLITS.values())
    assert contents == [file.read_bytes() for file in sorted(again.rglob("*.jpeg"))]


def gradients_of_a_step(optimizer: torch.optim.Optimizer, work: Work) -> torch.Tensor:
    """All gradients with which the one optimizer step of `work` is taken, (parameters,)."""
    steps: list[torch.Tensor] = []

    def keep(stepped: torch.optim.Optimizer, *_: object) -> None:
        found = [one.grad for group in stepped.param_groups for one in group["params"]]
        steps.append(torch.cat([one.flatten() for one in found]))

    hook = optimizer.register_step_pre_hook(keep)
    work()
    hook.remove()
    (gradients,) = steps
    return gradients


def test_the_bare_loop_takes_the_step_of_ours(tmp_path):
    """Without augmentation and dropout an epoch of a single window has the same gradients."""
    dataset = draw_photographs(tmp_path / "data", {"train": 1, "val": 1, "test": 1}, 96)
    flags = (*SMALL, *trainer_overhead.PLAIN, "--freeze_weights", "false", "--ovo_dropout", "0")
    with training(dataset, tmp_path / "results", *flags) as ours:
        loops = [BareLoop(ours, form) for form in trainer_overhead.FORMATS.values()]
        (run,) = ours.model.runs.values()
        assert run.trainer is not None
        expected = gradients_of_a_step(run.trainer.optimizer.adamw, ours.train_epoch)
    assert float(expected.norm()) > 0
    for bare in loops:
        found = gradients_of_a_step(bare.optimizer, bare.train_epoch)
        assert float((found - expected).norm() / expected.norm()) < 1e-3


@pytest.mark.slow
def test_separate_classifiers_have_the_layers_of_ours(photographs, tmp_path):
    flags = ("--base_models", "test_resnet", *RANDOM, "--ovo_mode", "independent")
    with training(photographs, tmp_path / "results", *flags) as ours:
        separate = SeparateClassifiers(ours)
        for one, branch in zip(separate._trainings, ours.network.branches.values(), strict=True):
            trained = [parameter.shape for parameter in one.parameters]
            assert trained == [parameter.shape for parameter in branch.parameters()]
            assert not any(weight.requires_grad for weight in one.network.stem.parameters())
        assert separate.evaluate().shape == (5, 10)
        assert [len(batches.dataset) for batches in separate._train] == [4] * 10


def test_timms_epoch_trains(photographs, tmp_path):
    with training(photographs, tmp_path / "results", *RANDOM, "--head", "softmax") as ours:
        epoch = timm_epoch(ours, torch.channels_last, no_aug=True)
        epoch()
