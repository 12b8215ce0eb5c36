"""What to tell users whose Python lacks a package, or has one that does not load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

PACKAGE = Path(__file__).resolve().parent
# Names by which the code imports what pyproject.toml requires -> names by which pip knows them.
REQUIRED = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "dotenv": "python-dotenv",
    "filelock": "filelock",
    "matplotlib": "matplotlib",
    "msgspec": "msgspec",
    "numpy": "numpy",
    "scipy": "scipy",
    "simplejpeg": "simplejpeg",
    "sklearn": "scikit-learn",
    "timm": "timm",
    "tomli": "tomli",
    "torch": "torch",
    "torchvision": "torchvision",
    "tqdm": "tqdm",
}
OLDEST = (3, 10)  # as pyproject.toml has it


def too_old() -> str | None:
    """One line where this Python is older than the code; it is one that can still run this."""
    if sys.version_info[:2] >= OLDEST:
        return None
    version = "{}.{}".format(*sys.version_info[:2])
    return f"{sys.executable} is Python {version}; 3.10 or newer is needed. {_remedy()}"


def explain(error: Exception) -> str | None:
    """One line on the package that is missing or broken; None where the error is no such thing.

    None for a module of this package that is not there, and for an unknown name that our own code
    imports: those are mistakes in the code, not in the environment.
    """
    loading = _package_that_loads(error)
    name = error.name if isinstance(error, ImportError) else None
    top = (name or "").partition(".")[0]
    if top == PACKAGE.name:
        return None
    if isinstance(error, ModuleNotFoundError):
        if top in sys.stdlib_module_names:
            return f"{sys.executable} was built without its module {top}. {_remedy()}"
        if top in REQUIRED or loading:
            return _missing(str(name), top)
        return None
    broken = loading or (top if top in REQUIRED else None)
    if broken is None:
        return None
    return (
        f"the package {REQUIRED.get(broken, broken)} can't be loaded by {sys.executable} "
        f"({_reason(error)}). {_remedy()}"
    )


def _missing(name: str, top: str) -> str:
    package = REQUIRED.get(top, top)
    if top in sys.modules:
        return (
            f"the package {package} of {sys.executable} has no {name}: another version is needed. "
            + _remedy()
        )
    return f"the package {package} is missing from {sys.executable}. {_remedy()}"


def _remedy() -> str:
    return (
        f"In {PACKAGE.parent}, ./quickstart.sh installs all that is needed, and "
        "`source .venv/bin/activate` makes it this terminal's Python."
    )


def _reason(error: BaseException) -> str:
    """The first line of the error at the root: numpy, for one, wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _package_that_loads(error: Exception) -> str | None:
    """The package from elsewhere that our code was importing when the error arose."""
    for frame in _frames(error):
        code = frame.f_code
        outside = not code.co_filename.startswith((str(PACKAGE), "<"))
        if code.co_name == "<module>" and outside:
            return str(frame.f_globals.get("__name__", "")).partition(".")[0] or None
    return None


def _frames(error: Exception) -> Iterator[FrameType]:
    step = error.__traceback__
    while step is not None:
        yield step.tb_frame
        step = step.tb_next
