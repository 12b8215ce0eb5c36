"""Reading a weights file without running code from it: allowed classes, reasons for refusal."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from dr_ovo.errors import UserError
from dr_ovo.models.weights.formats import (
    SAFETENSORS,
    begins_as_weights,
    damaged_member,
    is_pickle,
    kind_of,
    what_else,
)

FLAG = "--pretrained_path"
EXPECTED = "Expected .safetensors, or a .pth of plain tensors."
DAMAGED = "truncated or damaged: download it again, or copy it again from where it is whole ({})."
STATE_ONLY = (
    "Reading those can run code. Where the file was made, save the weights alone: "
    "torch.save(model.state_dict(), 'weights.pth'). Or take the .safetensors, where there is one."
)


def _allowed() -> list[Any]:
    """What a file may hold besides torch's own: options of a command line, and plain numbers."""
    rebuild = np.float64(0).__reduce__()[0]
    scalars = ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")
    return [
        argparse.Namespace,
        (rebuild, "numpy.core.multiarray.scalar"),  # as numpy 1 writes it
        (rebuild, "numpy._core.multiarray.scalar"),
        np.dtype,
        *{type(np.dtype(name)) for name in scalars},
    ]


def read_content(path: Path) -> Any:
    """What the file holds, on the CPU; tensors stay on disk until they are used.

    Raises UserError for a file that is missing, damaged, of another kind, or that holds Python
    objects, naming their classes.
    """
    if not path.is_file():
        what = "it is not a regular file" if path.exists() else "there is no such file"
        raise UserError(f"{FLAG} {path}: {what}.")
    if kind_of(path) == SAFETENSORS:
        return _read_safetensors(path)
    if other := what_else(path):
        raise UserError(f"{FLAG} {path}: not a weights file for torch. It is {other}.")
    if damaged := damaged_member(path):
        raise UserError(
            f"{FLAG} {path}: damaged (the checksum of {damaged} is wrong), so not a weights file "
            "to start from. Download it again, or copy it again."
        )
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_allowed()):
            warnings.simplefilter("ignore")  # of an old format: a path into torch
            zipped = zipfile.is_zipfile(path)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # the exception of a damaged file depends on where it breaks
        raise UserError(f"{FLAG} {path}: {_reason(path, error)}") from None


def _read_safetensors(path: Path) -> Any:
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # safetensors' own class shares no base with the others
        raise UserError(f"{FLAG} {path}: {DAMAGED.format(type(error).__name__)}") from None


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError) and (names := _refused(path, str(error))):
        return f"it holds Python objects ({', '.join(names)}), not only tensors. {STATE_ONLY}"
    if begins_as_weights(path):
        return DAMAGED.format(type(error).__name__)
    if path.suffix == ".safetensors":
        return DAMAGED.format("it does not begin as safetensors")
    if is_pickle(path):
        return f"a pickle of Python objects, not of torch.save. {STATE_ONLY}"
    return f"not a weights file that can be loaded safely ({type(error).__name__}). {EXPECTED}"


def _refused(path: Path, message: str) -> list[str]:
    """The names of the classes in the file that are not allowed."""
    known = {f"{c.__module__}.{c.__qualname__}" for c in _allowed() if isinstance(c, type)}
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # only zip archives can be listed
        found = []
    names = sorted(set(found) - known - {"numpy.core.multiarray.scalar"})
    match = re.search(r"GLOBAL (\S+)", message)
    return names[:5] or ([match.group(1)] if match else [])
