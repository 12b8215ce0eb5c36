"""Saving torch files atomically, whole or not at all, and loading them without running code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from dr_ovo.errors import MachineError, Terminated, UserError
from dr_ovo.files import atomic_path, make_folder


def save_torch(path: Path, content: dict[str, Any]) -> None:
    """Writes `content`, plain values and tensors. Raises MachineError if the disk refuses, or the
    folder is gone in which that of the file would be made."""
    try:
        with atomic_path(path) as part:
            make_folder(path.parent, parents=False)
            with part.open("wb") as file:
                torch.save(content, file)
    except RuntimeError as error:  # torch's writer hides the disk's own error, and a signal
        if isinstance(error.__context__, KeyboardInterrupt | Terminated):
            raise error.__context__ from None
        raise MachineError(
            f"{path} could not be written ({error}): is the disk full? The previous file, if "
            "any, is kept. Free some space and continue with --resume."
        ) from error


def damage_of(path: Path) -> str:
    """What is wrong with a torch file, by the checksums that torch.save writes, and torch.load does
    not look at; "" if nothing is."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if not bad:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # the exception of a damaged file depends on where it breaks
        return f"it can't be read ({type(error).__name__})"
    return f"the checksum of its part {bad} is wrong" if bad else ""


def load_torch(path: Path, hint: str) -> Any:
    """The content of a torch file, on the CPU. Raises UserError, ending in `hint`, if damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the exception of a damaged file depends on where it breaks
        raise UserError(f"{path} can't be loaded safely ({type(error).__name__}). {hint}") from None
