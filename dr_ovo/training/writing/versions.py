"""The versions and the commit that a result depends on."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import cv2
import numpy as np
import timm
import torch

import dr_ovo


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {
        "dr_ovo": dr_ovo.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from; None where it is installed."""
    package = Path(dr_ovo.__file__).parent
    try:
        # Not the commit of another repository, inside which the package was installed.
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        return _git(package, "rev-parse", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    answer = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10
    )
    return answer.stdout.strip()
