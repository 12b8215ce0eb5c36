"""The measurements of benchmarks/gpu.sh on the CPU, with a tiny network; no time is judged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from benchmarks.on_gpu.measurements import (
    compiling,
    cuda_graphs,
    full_memory,
    killed,
    machine,
    memory,
    residence,
    shared_head,
    throughput,
    two_cards,
    waiting,
    windows,
)
from benchmarks.on_gpu.rows import Row
from benchmarks.on_gpu.setting import SMALL, WRAPPERS, Setting, wrapper_flags
from benchmarks.results import NotMeasured
from benchmarks.trainings import Training
from dr_ovo.models.architectures import SEVEN
from dr_ovo.models.compilation import compiling_problem
from dr_ovo.models.parts.random_layers import masked_layers

CPU = torch.device("cpu")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> Setting:
    return Setting(tmp_path_factory.mktemp("gpu"), "cpu", quick=True)


def measured(module: Any, setting: Setting, argument: str, **more: Any) -> dict[str, Row]:
    """The rows by name; their values are finite."""
    found: list[Row] = []
    module.measure(setting, argument, found.append, **more)
    for row in found:
        assert row["value"] is not None
        assert math.isfinite(row["value"])
        assert row["unit"]
    return {row["name"]: row for row in found}


def test_throughput(setting):
    found = measured(throughput, setting, "resnet50")
    assert list(found) == ["train_resnet50", "train_resnet50_of_bare", "infer_resnet50"]
    ratio = found["train_resnet50_of_bare"]
    assert ratio["goal"] == 0.90
    assert {"bare NCHW, images/s", "bare channels_last, images/s"} < ratio["beside"].keys()
    assert found["train_resnet50"]["beside"]["micro-batch"] == 8
    assert found["train_resnet50"]["low"] <= found["train_resnet50"]["value"]


def test_throughput_where_the_bare_loop_has_no_room(setting, monkeypatch):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(throughput, "BareLoop", full)
    found: list[Row] = []
    throughput.measure(setting, "resnet50", found.append)
    (ratio,) = [row for row in found if row["name"].endswith("of_bare")]
    assert (ratio["value"], ratio["met"]) == (None, False)
    assert "CUDA out of memory." in ratio["note"]


def test_the_published_figures_are_said_to_be_another_cards(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    full = Setting(tmp_path, "cuda", quick=False)
    assert throughput._published(full, "resnet50") == {
        "timm's figure for another card, the RTX 3090": 1218,
        "that x4.6, by memory bandwidth": 5603,
    }
    assert throughput._published(full, "coatnet") == {}


def test_a_cuda_graph_is_for_a_gpu_and_the_eager_step_runs_here(setting):
    found: list[Row] = []
    with pytest.raises(NotMeasured, match="needs a GPU"):
        cuda_graphs.measure(setting, "convnext", found.append)
    (eager,) = found
    assert (eager["name"], eager["unit"]) == ("cuda_graph_convnext_2_eager", "images/s")
    assert eager["value"] > 0


def test_the_eager_step_is_that_of_the_trainer(setting):
    """One window, whatever its micro-batches, with nothing left out at random."""
    with setting.training(SMALL, setting.flags("convnext", *cuda_graphs.FLAGS)) as made:
        (trainer,), rate = made.trainers, made.config.learning_rate
        before = weights(trainer.branch)
        window = cuda_graphs._windows(made)[0]
        steps = [
            cuda_graphs.BareStep(made, size, window, capturable=False)
            for size in cuda_graphs.MICRO_BATCHES
        ]
        for branch in (trainer.branch, *(step.branch for step in steps)):
            for layer in masked_layers(branch):
                layer.share = 0.0
        trainer.schedule = mock.Mock(rate=lambda *_: rate)  # without its warm-up
        trainer.feed(made.network.stem_features(window[0]), window[1])
        assert trainer.steps == 1
        after = weights(trainer.branch)
        for step in steps:
            step.eager(window)
            assert float(step.total) == pytest.approx(float(trainer.running_loss.sums[0]), rel=1e-4)
            assert (weights(step.branch) - before).abs().mean() > rate / 2
            assert (weights(step.branch) - after).abs().mean() < rate / 100


def weights(branch: torch.nn.Module) -> torch.Tensor:
    """All weights of a branch in a row."""
    return torch.cat([one.detach().flatten() for one in branch.parameters()])


@pytest.fixture
def graphs_on_the_cpu(monkeypatch) -> dict[str, Any]:
    """Stands in for CUDA graphs, which a CPU lacks: a replay computes the step anew. What was seen
    of the captures."""
    seen: dict[str, Any] = {"gradients": [], "modes": set()}
    captures: list[cuda_graphs.BareStep] = []

    class Step(cuda_graphs.BareStep):
        def __init__(self, *arguments: Any, capturable: bool) -> None:
            super().__init__(*arguments, capturable=False)
            if capturable:
                captures.append(self)

    class Graph:
        def replay(self) -> None:
            captures[-1].forget_gradients()
            captures[-1].compute()

    @contextmanager
    def graph(_: Graph, *, stream: object, capture_error_mode: str) -> Iterator[None]:
        seen["gradients"] += [one.grad for one in captures[-1].parameters]
        seen["modes"].add(capture_error_mode)
        yield

    monkeypatch.setattr(cuda_graphs, "BareStep", Step)
    monkeypatch.setattr(cuda_graphs, "_why_not", lambda _: "")
    for name, value in {
        "Stream": mock.MagicMock(),
        "current_stream": mock.MagicMock(),
        "stream": nullcontext,
        "synchronize": lambda: None,
        "CUDAGraph": Graph,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return seen


def test_captured_steps_are_measured_beside_eager_ones(setting, graphs_on_the_cpu):
    found = measured(cuda_graphs, setting, "convnext")
    ends = ("eager", "captured", "gain")
    assert list(found) == [f"cuda_graph_convnext_{size}_{end}" for size in (2, 8) for end in ends]
    assert found["cuda_graph_convnext_2_gain"]["note"] == ""
    assert set(graphs_on_the_cpu["gradients"]) == {None}
    assert graphs_on_the_cpu["modes"] == {"thread_local"}


def test_a_replay_that_does_nothing_is_no_gain(setting, graphs_on_the_cpu, monkeypatch):
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda _: None)
    found: list[Row] = []
    cuda_graphs.measure(setting, "convnext", found.append)
    gains = [row for row in found if row["name"].endswith("gain")]
    assert [row["value"] for row in gains] == [None, None]
    assert gains[0]["note"] == "a replay changed no weight"


def test_windows_of_eight(setting):
    found = measured(windows, setting, "convnext")
    assert list(found) == [f"window_of_8_convnext_{end}" for end in ("2", "auto", "gain")]
    assert found["window_of_8_convnext_gain"]["beside"] == {"micro-batch that auto chose": 2}


def test_the_shared_head(setting):
    (row,) = measured(shared_head, setting, "resnet50").values()
    assert (row["name"], row["goal"]) == ("shared_head_resnet50", 0.95)


@contextmanager
def no_room_for(made: Training, images: int) -> Iterator[None]:
    """Within the context the memory is full where more images than these are computed."""

    def full(_module: Any, inputs: tuple[torch.Tensor]) -> None:
        if len(inputs[0]) > images:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    (trainer,) = made.trainers
    handle = trainer.branch.head.register_forward_pre_hook(full)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize(("room", "survived"), [(2, True), (100, False), (0, False)])
def test_full_memory(room, survived, setting):
    found: list[Row] = []
    full_memory.measure(
        setting, "resnet50", found.append, limit=lambda made, *_: no_room_for(made, room)
    )
    first, *losses = found
    assert (first["name"], first["value"]) == ("full_memory_survived", survived)
    assert first["met"] is survived
    if room == 0:
        assert "memory is full" in first["note"]
    else:
        assert first["beside"]["micro-batch"] == ("8 to 2" if survived else "8 to 8")
        assert losses[0]["met"] is True
        assert losses[0]["value"] < 1e-3


def test_memory_at_the_wrappers_settings(setting):
    found = measured(memory, setting, "densenet121")
    assert list(found) == ["memory_densenet121_shared", "memory_densenet121_independent"]
    assert [row["beside"]["branches"] for row in found.values()] == [1, 10]
    assert all(row["beside"]["micro-batch that auto chose"] == 2 for row in found.values())
    assert all(row["beside"]["window"] == 8 for row in found.values())


def test_residence(setting):
    found = measured(residence, setting, "resnet50")
    names = ["cache_resident_resnet50", "cache_copied_resnet50", "cache_resident_gain_resnet50"]
    assert list(found) == names


@pytest.mark.skipif(bool(compiling_problem(CPU)), reason="there is no compiler")
def test_compiling(setting):
    found = measured(compiling, setting, "resnet50")
    assert list(found) == ["compile_gain_resnet50", "compile_seconds_resnet50"]
    assert found["compile_seconds_resnet50"]["value"] > 0


@pytest.mark.parametrize("mode", ["shared", "independent"])
def test_waiting(mode, setting, monkeypatch):
    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    (row,) = measured(waiting, setting, mode).values()
    assert (row["name"], row["met"], row["note"]) == (f"no_waiting_{mode}", True, "")
    assert modes == ["error"] * 4 + ["default"] * 2  # 5 batches, and the end


def test_a_wait_is_found_with_its_line(setting, monkeypatch):
    def waits(mode: str) -> None:
        if mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")

    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", waits)
    found: list[Row] = []
    waiting.measure(setting, "shared", found.append)
    assert found[0]["met"] is False
    assert "synchronizing CUDA operation: tests/benchmarks/" in found[0]["note"]


def test_a_killed_training_goes_on(setting):
    found = measured(killed, setting, "densenet121")
    assert found["killed_goes_on"]["met"] is True
    assert found["killed_weights"]["value"] == 0  # on the CPU the bits are the same
    assert found["killed_weights"]["beside"] == {"the same bits": True}


@pytest.mark.parametrize("mode", ["shared", "independent"])
def test_two_processes(mode, setting):
    found = measured(two_cards, setting, mode)
    assert list(found) == [f"processes_{end}_{mode}" for end in ("1", "2", "gain")]


def test_the_machine(setting):
    found: list[Row] = []
    machine.measure(setting, "", found.append)
    (about,) = found
    assert (about["device"], about["cards"]) == ("cpu", 0)
    assert about["versions"]["torch"] == torch.__version__
    assert about["code"] == machine.code_version()


def test_wrappers_flags():
    assert tuple(WRAPPERS) == SEVEN
    assert all(Path(name).suffix == ".sh" for name in WRAPPERS.values())
    words = wrapper_flags("densenet121")
    assert words[words.index("--img_size") + 1] == "384"
    assert words[:2] == ("--mode", "train")
