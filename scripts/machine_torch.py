"""Prints pip constraints for this Python's torch and torchvision where they serve training.

They do when both stand inside the ranges of requirements.txt, torch sees a GPU and has code for it.
Exit code 1 otherwise.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def in_range(name: str, version: str, requirements: str) -> bool:
    """Whether `version` is within the line `name>=LOW,<HIGH` of the requirements.

    A pre-release comes before its release, as pip has it (NVIDIA's images hold such as 2.10.0a0).
    """
    match = re.search(rf"^{name}>=([\d.]+),<([\d.]+)", requirements, re.MULTILINE)
    if not match:
        raise ValueError(f"requirements.txt has no line {name}>=LOW,<HIGH")
    return _rank(match[1]) <= _rank(version) < _rank(match[2])


def _rank(version: str) -> tuple[int, int, int, bool]:
    release = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?(a|b|rc|\.dev)?", version)
    if not release:
        raise ValueError(f"'{version}' is not a version")
    return int(release[1]), int(release[2]), int(release[3] or 0), release[4] is None


def pins(requirements: str) -> list[str]:
    """torch, and torchvision where it is here, as `name==version`; none where out of range."""
    found = []
    for name in ("torch", "torchvision"):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if not in_range(name, version, requirements):
            return []
        found.append(f"{name}=={version}")
    return found


def sees_a_gpu() -> bool:
    """Whether torch sees a GPU, and has code for it (UserError where it has none)."""
    from dr_ovo.device import check_gpu, select_device

    device = select_device("auto")
    check_gpu(device)
    return device.type == "cuda"


def main() -> int:
    constraints = pins((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    if not constraints or not constraints[0].startswith("torch==") or not sees_a_gpu():
        return 1
    print("\n".join(constraints))
    return 0


if __name__ == "__main__":
    sys.exit(main())
