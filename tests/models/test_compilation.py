"""What is compiled, and that training goes on where nothing can be."""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch

from dr_ovo.models import compilation
from dr_ovo.models.compilation import Compiler, compiling_problem

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
FULL, PARTIAL = torch.ones(4, 2), torch.ones(3, 2)


def twice(batch: torch.Tensor) -> torch.Tensor:
    return batch * 2


def thrice(batch: torch.Tensor) -> torch.Tensor:
    return batch * 3


@pytest.fixture
def said(caplog) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, "dr_ovo")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def compiles(monkeypatch) -> None:
    """A compiler that works; what it compiled gives three times the batch instead of twice."""
    monkeypatch.setattr(compilation, "compiling_problem", lambda _: None)
    monkeypatch.setattr(torch, "compile", lambda *_, **__: thrice)


def failing(error: Exception) -> Callable[..., Any]:
    def compile(*_: Any, **__: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        def call(_: torch.Tensor) -> torch.Tensor:
            raise error

        return call

    return compile


@pytest.mark.usefixtures("compiles")
def test_full_batches_are_compiled_and_others_are_not():
    function = Compiler(CPU)(twice)
    found = [float(function(batch)[0, 0]) for batch in (FULL, PARTIAL, FULL)]
    assert found == [3, 2, 3]


@pytest.mark.parametrize(
    "error", [RuntimeError("no CXX\nmany lines"), AssertionError(), OSError("disk")]
)
@pytest.mark.usefixtures("compiles")
def test_where_compiling_fails_all_goes_on_without_and_it_is_said_once(error, said, monkeypatch):
    compiler = Compiler(CPU)
    works, fails, never = (compiler(twice) for _ in range(3))
    assert float(works(FULL)[0, 0]) == 3
    monkeypatch.setattr(torch, "compile", failing(error))
    assert [float(one(FULL)[0, 0]) for one in (fails, never, fails, works)] == [2, 2, 2, 2]
    (line,) = said()
    reason = str(error).partition("\n")[0] or "AssertionError"
    assert line == f"--compile: not on this machine: {reason}. Going on without."
    assert not compiler.works


@pytest.fixture
def no_backward_passes(monkeypatch) -> None:
    """A compiler that works for forward passes alone."""
    monkeypatch.setattr(compilation, "compiling_problem", lambda _: None)
    compile_with, dynamo = torch.compile, pytest.importorskip("torch._dynamo.backends.common")

    def fail(*_: Any) -> None:
        raise RuntimeError("no backward pass")

    backend = dynamo.aot_autograd(fw_compiler=lambda graph, _: graph.forward, bw_compiler=fail)
    monkeypatch.setattr(
        torch, "compile", lambda function, **_: compile_with(function, backend=backend)
    )


@pytest.mark.usefixtures("no_backward_passes")
def test_a_backward_pass_that_can_not_be_compiled(said):
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    plain, compiler = copy.deepcopy(layer), Compiler(CPU)
    for function in (plain, compiler(layer)):
        function(FULL.cumsum(0)).square().sum().backward()
    assert len(said()) == 1
    assert "Going on without" in said()[0]
    assert not compiler.works
    assert torch.equal(layer[0].weight.grad, plain[0].weight.grad)
    assert torch.equal(layer[1].running_mean, plain[1].running_mean)  # as of one pass


@pytest.mark.usefixtures("compiles")
def test_a_torch_without_the_switch_for_backward_passes(monkeypatch):
    monkeypatch.delattr("torch._functorch.config.force_non_lazy_backward_lowering")
    assert float(Compiler(CPU)(twice)(FULL)[0, 0]) == 3


@pytest.mark.usefixtures("compiles")
def test_full_memory_is_not_the_compiler_s_fault(monkeypatch):
    compiler = Compiler(CUDA)
    monkeypatch.setattr(torch, "compile", failing(torch.OutOfMemoryError("full")))
    with pytest.raises(torch.OutOfMemoryError):
        compiler(twice)(FULL)
    assert compiler.works


def test_a_cpu_needs_a_compiler(monkeypatch, said):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiling_problem(CPU) == "there is no compiler (no-such-compiler)"
    compiler = Compiler(CPU)
    assert float(compiler(twice)(FULL)[0, 0]) == 2
    assert len(said()) == 1


@pytest.mark.parametrize(
    ("capability", "triton", "word"),
    [((7, 0), True, "7.0"), ((7, 5), True, "7.5"), ((8, 0), False, "triton"), ((9, 0), True, None)],
)
def test_a_gpu_needs_triton_and_triton_a_newer_gpu(capability, triton, word, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some card")
    monkeypatch.setattr(compilation.importlib.util, "find_spec", lambda _: triton or None)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    problem = compiling_problem(CUDA)
    assert problem is None if word is None else word in problem
