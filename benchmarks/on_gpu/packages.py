"""What this Python lacks of the packages that are needed, and their installation from wheels into a
folder of its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dr_ovo.broken_imports import REQUIRED
from dr_ovo.errors import UserError

# Packages that a GPU's environment brings: an older version is used as it is.
OF_THE_ENVIRONMENT = {
    "torch", "torchvision", "timm", "opencv-python-headless", "numpy", "scipy", "scikit-learn",
    "matplotlib", "pillow",
}  # fmt: skip
OPENCV = ("opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
PIP_SECONDS = 60
PIP = ("-m", "pip", "--isolated", "install", "--no-index", "--no-deps", "--no-cache-dir")
PIP = (*PIP, "--quiet", "--disable-pip-version-check")


def install_missing(requirements: Sequence[str], wheels: Path | None, folder: Path) -> list[str]:
    """Installs what this Python lacks from the folder `wheels` into `folder`; what was installed.

    Raises UserError, naming it, for what is not there either."""
    lacking = [text for text in requirements if _is_lacking(text)]
    if not lacking:
        return []
    if wheels is None:
        raise UserError(
            f"{sys.executable} lacks {_listed(lacking)}. Install them, or give --wheels DIR, a "
            "folder with their wheels (pip download -d DIR ...)."
        )
    if not wheels.is_dir():
        raise UserError(f"--wheels {wheels}: there is no such folder.")
    failed = [text for text in lacking if not _install(text, wheels, folder)]
    if failed:
        raise UserError(
            f"{sys.executable} lacks {_listed(failed)}, and --wheels {wheels} has no wheel of "
            "them for this Python. Put it there (pip download -d DIR ...)."
        )
    return lacking


def _listed(requirements: Sequence[str]) -> str:
    return ", ".join(text.partition(";")[0].strip() for text in requirements)


def _is_lacking(text: str) -> bool:
    """Whether a requirement is not there; or too old, unless the environment brings it."""
    wanted = _requirement(text)
    if wanted.marker and not wanted.marker.evaluate():
        return False
    version = _version(wanted.name)
    if version is None:
        module = next((name for name, pip in REQUIRED.items() if pip == wanted.name), wanted.name)
        return importlib.util.find_spec(module) is None
    # The upper bound is the newest version that was tried: newer ones are used, too.
    lower = [one for one in wanted.specifier if one.operator.startswith(">")]
    fits = all(one.contains(version, prereleases=True) for one in lower)
    return not fits and wanted.name not in OF_THE_ENVIRONMENT


def _requirement(text: str) -> Any:
    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement  # type: ignore[assignment]
    return Requirement(text)


def _version(name: str) -> str | None:
    """The installed version; None where nothing says it."""
    for one in (name, *(OPENCV if name == "opencv-python-headless" else ())):
        try:
            return importlib.metadata.version(one)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _install(text: str, wheels: Path, folder: Path) -> bool:
    """Whether pip found a wheel that fits, and unpacked it."""
    found = ("--find-links", str(wheels), "--target", str(folder), text.partition(";")[0].strip())
    try:
        ended = subprocess.run(
            [sys.executable, *PIP, *found],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PIP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0
