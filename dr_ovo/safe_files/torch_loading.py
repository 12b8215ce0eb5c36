"""Reading torch files: what they claim is checked before torch.load may believe it.

One reader serves training, evaluation, inference, reports and pretrained weights.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dr_ovo.errors import UserError
from dr_ovo.exhaustion import refused_by_machine
from dr_ovo.files import Written, known_sha256, last_written
from dr_ovo.safe_files.pickle_scan import MADE, Rule
from dr_ovo.safe_files.problems import DamagedError, RefusedFileError
from dr_ovo.safe_files.rules import OURS
from dr_ovo.safe_files.torch_scan import scan_torch

SCALARS = ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")
# Files whose bytes this process knows to be those that were written -> when they were.
_whole: dict[Path, Written | None] = {}


def read_torch(
    path: Path,
    rules: Mapping[str, Rule] = OURS,
    *,
    checksums: bool = True,
    mmap: bool = False,
) -> Any:
    """The content of a torch file, on the CPU: plain values and tensors.

    `rules`: what it may build by name; where that is more than `OURS`, it may also be of torch
    before 1.6. `checksums`: those of all its parts are checked, once in a process. `mmap`: tensors
    stay on the disk until they are used. Raises RefusedFileError, and OSError.
    """
    before = last_written(path)
    zipped = scan_torch(path, rules, checksums=checksums and _whole.get(path) != before)
    if checksums and zipped:
        _whole[path] = before
    return load_scanned(path, rules, mmap=mmap and zipped)


def load_scanned(path: Path, rules: Mapping[str, Rule], *, mmap: bool) -> Any:
    """The content of a file that `scan_torch` has let pass by the same rules. Raises DamagedError,
    and OSError."""
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_allowed(rules)):
            warnings.simplefilter("ignore")  # of an old format: a path into torch
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # the exception of a damaged file depends on where it breaks
        if refused_by_machine(error):
            raise
        raise DamagedError(type(error).__name__) from None


def load_torch(path: Path, hint: str, *, sha256: str = "") -> Any:
    """The content of a torch file of this toolkit, on the CPU; its sha256 must be `sha256`, if that
    is given. Raises UserError, ending in `hint`, if it is damaged, or another one."""
    try:
        if sha256:
            _require_sha256(path, sha256)
        return read_torch(path)
    except RefusedFileError as error:
        raise UserError(f"{path} can't be loaded safely: {error}. {hint}") from None
    except OSError as error:
        raise UserError(
            f"{path} can't be loaded safely: it can't be read ({error.strerror}). {hint}"
        ) from None


def damage_of(path: Path, sha256: str | None = None) -> str:
    """What is wrong with a torch file of this toolkit, by its `sha256`, if that is known, else by
    its checksums; "" if nothing is."""
    try:
        if sha256 is not None:
            _require_sha256(path, sha256)
        read_torch(path, mmap=True)
    except RefusedFileError as error:
        return str(error)
    except OSError as error:
        return f"it can't be read ({error.strerror})"
    return ""


def _require_sha256(path: Path, sha256: str) -> None:
    """Raises DamagedError for another file; the right one needs no further checksums."""
    before = last_written(path)
    if known_sha256(path) != sha256:
        raise DamagedError("its sha256 is not the one that was written")
    _whole[path] = before


def _allowed(rules: Mapping[str, Rule]) -> list[Any]:
    """What torch.load may make besides its own; NumPy has two names for the maker of a number."""
    if rules is OURS:
        return []
    rebuild = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = {type(np.dtype(name)) for name in SCALARS}
    options = [argparse.Namespace] if MADE in rules else []
    return [*options, *((rebuild, name) for name in names), np.dtype, *kinds]
