from __future__ import annotations

import pytest
import torch

from dr_ovo.device import (
    amp_dtype,
    amp_name,
    check_gpu,
    gpu_report,
    has_kernels,
    kernel_problem,
    select_device,
    to_device,
    uses_tf32,
    without_tf32,
)
from dr_ovo.errors import UserError

CUDA_13 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]
CUDA_126 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@pytest.mark.parametrize(
    ("capability", "arch_list", "runs"),
    [
        ((7, 0), CUDA_126, True),  # V100
        ((7, 0), CUDA_13, False),
        ((6, 1), CUDA_126, True),  # GTX 1080: the binary for 6.0
        ((8, 9), CUDA_13, True),  # L4: the binary for 8.6
        ((8, 0), ["sm_86"], False),  # a higher minor version than the GPU's
        ((12, 0), CUDA_126, False),  # another major version, and no intermediate code
        ((12, 1), CUDA_13, True),
        ((13, 0), CUDA_13, True),  # from the intermediate code for 12.0
        ((9, 0), ["compute_120"], False),
        ((9, 0), ["sm_90a"], True),
        ((10, 0), ["sm_90a", "compute_90a"], False),  # `a` is for exactly that GPU
        ((10, 3), ["sm_100f"], True),
        ((10, 3), ["compute_100f"], True),
        ((12, 0), ["compute_100f"], False),  # `f` is for the family
        ((8, 0), [], False),
        ((8, 0), ["gfx90a"], False),
    ],
)
def test_has_kernels(capability, arch_list, runs):
    assert has_kernels(capability, arch_list) is runs


def test_a_v100_under_cuda_13_is_told_which_build_to_install():
    problem = kernel_problem("Tesla V100-SXM2-16GB", (7, 0), CUDA_13, "13.0")
    assert problem is not None
    for word in ("V100", "7.0", "CUDA 13.0", "CUDA 12.6", "torch 2.11", "whl/cu126"):
        assert word in problem


def test_a_card_newer_than_the_build_is_told_to_upgrade():
    problem = kernel_problem("RTX 5090", (12, 0), CUDA_126, "12.6")
    assert problem is not None
    assert "--upgrade" in problem
    assert "cu126" not in problem


@pytest.mark.parametrize("cuda", ["12.6", None])
def test_no_problem_where_the_build_fits_or_cannot_be_judged(cuda):
    assert kernel_problem("card", (7, 0), CUDA_126 if cuda else ["gfx90a"], cuda) is None


@pytest.mark.parametrize(
    ("capability", "name"), [((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), (None, "bf16")]
)
def test_precision_by_compute_capability(capability, name):
    assert amp_name(capability) == name


def test_cpu():
    device = select_device("cpu")
    assert device == torch.device("cpu")
    assert amp_dtype(device) == "bf16"
    check_gpu(device)  # the CPU needs no kernels


@without_gpu
def test_auto_without_gpu_is_the_cpu():
    assert select_device() == torch.device("cpu")
    assert gpu_report() == []


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:", "", "cpu:0", "mps"])
def test_unknown_device(name):
    with pytest.raises(UserError, match=f"'{name}' is not a device.*auto, cpu, cuda"):
        select_device(name)


@without_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_unavailable_device(name):
    with pytest.raises(UserError, match=f"'{name}' is not available.*0 GPU"):
        select_device(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_with_gpu():
    device = select_device("auto")
    card = gpu_report()[0]
    check_gpu(device)
    assert device == torch.device("cuda", 0)
    assert 0 < card.free_memory <= card.memory
    assert amp_dtype(device) == amp_name(card.capability)
    with pytest.raises(UserError, match="is not available"):
        select_device("cuda:99")


def tf32() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_off_for_a_while(allowed, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    before = tf32()
    with without_tf32():
        assert tf32() == (False, False)
    assert tf32() == before
    with pytest.raises(RuntimeError), without_tf32():
        raise RuntimeError
    assert tf32() == before


def test_a_cpu_has_no_tf32():
    assert uses_tf32(torch.device("cpu")) is False


@pytest.mark.parametrize(("capability", "expected"), [((7, 0), False), ((8, 0), True)])
def test_tf32_by_compute_capability(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert uses_tf32(torch.device("cuda", 0)) is expected


def test_a_tensor_that_is_there_is_not_copied():
    tensor = torch.arange(3)
    assert to_device(tensor, torch.device("cpu")) is tensor
