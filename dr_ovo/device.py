"""Choosing the device (CPU or GPU); whether this torch has code for it; fp16, bf16, TF32."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from dr_ovo.distributed.place import place_in_environment
from dr_ovo.errors import UserError

Capability = tuple[int, int]

CUDA_126_WHEELS = "https://download.pytorch.org/whl/cu126"
NEWEST_WHEELS = "https://download.pytorch.org/whl/cu130"
FIRST_WITHOUT_VOLTA: Capability = (7, 5)  # the lowest capability in builds for CUDA 13
BF16_FROM: Capability = (8, 0)  # torch.cuda.is_bf16_supported() includes emulation
TF32_FROM: Capability = (8, 0)


@dataclass(frozen=True)
class Gpu:
    """One GPU as torch sees it; memory in bytes."""

    index: int
    name: str
    capability: Capability
    memory: int
    free_memory: int


def select_device(name: str = "auto") -> torch.device:
    """The torch device for `name`: `auto` (a GPU if torch sees one, else the CPU), `cpu`, `cuda` or
    `cuda:N`. Of several processes on a machine each takes the GPU of its number.

    Raises UserError for any other name and for a GPU that torch does not see.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    place = place_in_environment()
    if name == "auto" and place is None:
        return torch.device("cuda", 0)
    if name == "auto":
        name = "cuda"
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if not match:
        raise UserError(f"'{name}' is not a device. Use auto, cpu, cuda or cuda:N.")
    seen = torch.cuda.device_count()
    if place is not None and place.here > 1:
        if match[1] or place.here > seen:
            raise UserError(
                f"{place.here} processes on this machine, --device {name}, and torch sees {seen} "
                "GPU(s): each needs its own. Start as many as there are GPUs (torchrun "
                f"--nproc_per_node {max(1, seen)}) and leave --device out, or use --device cpu."
            )
        return torch.device("cuda", place.local)
    index = int(match[1] or 0)
    if not torch.cuda.is_available() or index >= seen:
        raise UserError(
            f"The device '{name}' is not available: torch {torch.__version__} sees {seen} GPU(s). "
            "Use --device auto, or see `python -m dr_ovo doctor`."
        )
    return torch.device("cuda", index)


def gpu_report() -> list[Gpu]:
    """The GPUs that torch sees; may be empty."""
    if not torch.cuda.is_available():
        return []
    cards = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        capability = (properties.major, properties.minor)
        cards.append(Gpu(index, properties.name, capability, total, free))
    return cards


def has_kernels(capability: Capability, arch_list: Sequence[str]) -> bool:
    """Whether a build for `arch_list` (such as `["sm_80", "compute_90"]`) runs on a GPU.

    Binaries (`sm_XY`) run on their own major version, on their minor version and above;
    intermediate code (`compute_XY`) runs on every later GPU. With the suffix `a` either runs on
    exactly that GPU, with `f` on its family, the same major version (CUDA C++ Programming Guide,
    "Compute Capability").
    """
    for arch in arch_list:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", arch)
        if not match:
            continue
        kind, built, suffix = match[1], (int(match[2]), int(match[3])), match[4]
        if suffix == "a":
            runs = capability == built
        elif kind == "sm" or suffix == "f":
            runs = capability[0] == built[0] and capability >= built
        else:
            runs = capability >= built
        if runs:
            return True
    return False


def build_to_install(capability: Capability) -> str:
    """Which build of torch runs on a GPU of this compute capability, and how to install it."""
    if capability >= FIRST_WITHOUT_VOLTA:
        return (
            "Install a build that is newer than the GPU: pip install --upgrade --force-reinstall "
            f'"torch>=2.10,<2.14" "torchvision>=0.25,<0.29" --index-url {NEWEST_WHEELS}'
        )
    return (
        "No build for CUDA 13 runs on it. Use a build for CUDA 12.6 (torch 2.11 and later; up to "
        "torch 2.10 those for CUDA 12.8 work too): pip install --force-reinstall "
        f'"torch>=2.11,<2.14" "torchvision>=0.26,<0.29" --index-url {CUDA_126_WHEELS}'
    )


def kernel_problem(
    name: str, capability: Capability, arch_list: Sequence[str], cuda: str | None
) -> str | None:
    """Why this build of torch does not run on a GPU and what to install; None if it runs.

    `cuda` is `torch.version.cuda`; builds without it (ROCm) name their GPUs differently and are not
    checked.
    """
    if cuda is None or has_kernels(capability, arch_list):
        return None
    return (
        f"This torch (built for CUDA {cuda}: {' '.join(arch_list)}) has no code for the {name}, "
        f"compute capability {capability[0]}.{capability[1]}. {build_to_install(capability)}"
    )


def check_gpu(device: torch.device) -> None:
    """Raises UserError, naming the build to install, if this torch can't compute on `device`."""
    if device.type != "cuda":
        return
    problem = kernel_problem(
        torch.cuda.get_device_name(device),
        torch.cuda.get_device_capability(device),
        torch.cuda.get_arch_list(),
        torch.version.cuda,
    )
    if problem:
        raise UserError(f"{problem} Or train on the CPU with --device cpu.")


def amp_name(capability: Capability | None) -> str:
    """Mixed precision for a GPU of this compute capability (None: the CPU): `bf16` or `fp16`."""
    return "bf16" if capability is None or capability >= BF16_FROM else "fp16"


def amp_dtype(device: torch.device) -> str:
    """`bf16` on the CPU and from compute capability 8.0; below, `fp16`, which needs a scaler."""
    return amp_name(torch.cuda.get_device_capability(device) if device.type == "cuda" else None)


def uses_tf32(device: torch.device) -> bool:
    """Whether convolutions of float32 on `device` are rounded to TF32, torch's default where a GPU
    can."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < TF32_FROM:
        return False
    return torch.backends.cudnn.allow_tf32


@contextmanager
def without_tf32() -> Iterator[None]:
    """Within the context, float32 is float32 on every GPU: results don't depend on which it is."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    try:
        cudnn.allow_tf32 = matmul.allow_tf32 = False
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`; a copy to a GPU goes through pinned memory, so that nothing waits."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
