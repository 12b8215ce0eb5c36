"""Reading a weights file without running code from it, and why one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch

from dr_ovo.errors import UserError
from dr_ovo.models.metadata import MetadataError, checked_metadata, is_ours
from dr_ovo.models.weights.formats import (
    SAFETENSORS,
    begins_as_weights,
    is_pickle,
    kind_of,
    what_else,
)
from dr_ovo.safe_files.foreign import read_foreign
from dr_ovo.safe_files.problems import (
    ChecksumError,
    ExcessError,
    ObjectsError,
    RefusedFileError,
)

FLAG = "--pretrained_path"
EXPECTED = "Expected .safetensors, or a .pth of plain tensors."
MAX_HEADER = 2**24  # bytes of a safetensors file's header; a network of 1,000 tensors takes 2**17
DAMAGED = "truncated or damaged: download it again, or copy it again from where it is whole ({})."
STATE_ONLY = (
    "Reading those can run code. Where the file was made, save the weights alone: "
    "torch.save(model.state_dict(), 'weights.pth'). Or take the .safetensors, where there is one."
)


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
    try:
        content = read_foreign(path, options=True)
        if is_ours(content):
            checked_metadata(content)
    except (RefusedFileError, OSError) as error:
        raise UserError(f"{FLAG} {path}: {_reason(path, error)}") from None
    except MetadataError as error:
        raise UserError(f"{FLAG} {path}: damaged: {error}. Take another file.") from None
    return content


def _read_safetensors(path: Path) -> Any:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise UserError(
            f"{FLAG} {path}: its header has {length} bytes, more than {MAX_HEADER}. {EXPECTED}"
        )
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # safetensors' own class shares no base with the others
        raise UserError(f"{FLAG} {path}: {DAMAGED.format(type(error).__name__)}") from None


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, ObjectsError):
        names = ", ".join(error.names)
        return f"it holds Python objects ({names}), not only tensors. {STATE_ONLY}"
    if isinstance(error, ChecksumError):
        return (
            f"damaged (the checksum of {error.part} is wrong), so not a weights file to start "
            "from. Download it again, or copy it again."
        )
    if isinstance(error, ExcessError):
        return f"{error}. {EXPECTED}"
    if begins_as_weights(path):
        return DAMAGED.format(error)
    if path.suffix == ".safetensors":
        return DAMAGED.format("it does not begin as safetensors")
    if is_pickle(path):
        return f"a pickle of Python objects, not of torch.save. {STATE_ONLY}"
    return f"not a weights file that can be loaded safely ({error}). {EXPECTED}"
