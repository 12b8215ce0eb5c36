"""No measurement: the machine on which all others run.

Nothing here changes a setting of the GPU: nvidia-smi is only asked.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from typing import Any

import torch

import dr_ovo
from benchmarks.on_gpu.rows import Emit
from benchmarks.on_gpu.setting import ROOT, Setting
from dr_ovo.device import check_gpu, gpu_report, select_device
from dr_ovo.parallel import available_cores
from dr_ovo.training.writing.versions import git_commit, versions

ASKED = ("driver_version", "memory.used", "clocks.sm", "clocks.max.sm", "power.limit", "pstate")
CODE = ("benchmarks", "dr_ovo")
SECONDS = 10  # for nvidia-smi or git to answer


def measure(setting: Setting, _argument: str, emit: Emit) -> None:
    """The card, torch and the code. Raises UserError for a device that can't compute."""
    emit(_machine(setting.device))


def _machine(device: str) -> dict[str, Any]:
    chosen = select_device(device)
    check_gpu(chosen)
    about: dict[str, Any] = {
        "device": device,
        "card": platform.processor() or platform.machine(),
        "cards": 0,
        "versions": versions() | {"cuda": torch.version.cuda, "cudnn": _cudnn()},
        "cores": available_cores(),
        "code": code_version(),
    }
    if chosen.type == "cuda":
        torch.ones(1, device=chosen).item()  # it computes
        cards = gpu_report()
        first = cards[0]
        about |= {
            "card": first.name,
            "cards": len(cards),
            "capability": list(first.capability),
            "memory_gb": round(first.memory / 1e9, 1),
            "free_memory_gb": round(first.free_memory / 1e9, 1),
            "nvidia_smi": _nvidia_smi(),
        }
        about["driver"] = about["nvidia_smi"].get("driver_version")
    return about


def _cudnn() -> int | None:
    return torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None


def _nvidia_smi() -> dict[str, str]:
    """What nvidia-smi says of the first card; empty where it says nothing."""
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader", "--id=0"]
    answer = _output(command)
    return dict(zip(ASKED, (one.strip() for one in answer.split(",")), strict=False))


def code_version() -> str:
    """The commit of the checkout, or the package's version; with a hash of the code where it is not
    that of a commit."""
    commit = git_commit()
    changed = _output(["git", "-C", str(ROOT), "status", "--porcelain", "--", *CODE])
    if commit and not changed:
        return commit
    return f"{commit or dr_ovo.__version__}+{_code_hash()}"


def _code_hash() -> str:
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _output(command: list[str]) -> str:
    """What a command prints; "" where it fails or is not there."""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""
