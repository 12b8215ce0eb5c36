"""The measurements of benchmarks/gpu.sh on the CPU, with a tiny network; no time is judged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.on_gpu.measurements import (
    compiling,
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
from benchmarks.on_gpu.setting import WRAPPERS, Setting, wrapper_flags
from benchmarks.trainings import Training
from dr_ovo.models.architectures import SEVEN
from dr_ovo.models.compilation import compiling_problem

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
