"""Loads a checkpoint without running code from it: allowed types, reasons for refusal."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dr_ovo.reports.checkpoints.record import UnreadableError

SCALAR_TYPES = (np.float16, np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_)
ZIP_START = b"PK"  # checkpoints are zip archives since torch 1.6
# What reading damaged bytes can raise, besides torch's own errors.
DAMAGE = (
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    struct.error,
    zipfile.BadZipFile,
    ArithmeticError,
    MemoryError,
)


def _numpy_scalars() -> list[Any]:
    """numpy's scalars and their types, under the names of numpy 1 and of numpy 2."""
    rebuild = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [(rebuild, name) for name in names] + [
        np.dtype,
        *{type(np.dtype(kind)) for kind in SCALAR_TYPES},
    ]


def load_safely(path: Path) -> Any:
    """The content of the file, by `weights_only=True`; tensors stay on disk where possible.

    Raises UnreadableError with the reason: empty, damaged, or with pickled classes.
    """
    try:
        if path.stat().st_size == 0:
            raise UnreadableError("empty: 0 bytes")
        zipped = zipfile.is_zipfile(path)
        with torch.serialization.safe_globals(_numpy_scalars()):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise UnreadableError(_refusal(str(error)) or _damage(path)) from None
    except OSError as error:
        raise UnreadableError(f"can't be read: {error.strerror or error}") from None
    except DAMAGE:
        raise UnreadableError(_damage(path)) from None


def _refusal(message: str) -> str:
    """What torch refused to load, instead of its advice to load unsafely; empty if unclear."""
    match = re.search(r"GLOBAL (\S+)", message)
    if not match:
        return ""
    return (
        f"not loaded: it holds pickled Python objects ({match.group(1)}), and reading those can "
        "run code; save only the state_dict where the file was made"
    )


def _damage(path: Path) -> str:
    with path.open("rb") as file:
        is_zip = file.read(len(ZIP_START)) == ZIP_START
    return "damaged or truncated" if is_zip else "damaged, or not a PyTorch checkpoint"
