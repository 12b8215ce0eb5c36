"""Saving torch files atomically, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dr_ovo.errors import MachineError, Terminated
from dr_ovo.files import atomic_path, file_sha256, make_folder


def save_torch(path: Path, content: dict[str, Any]) -> str:
    """Writes `content`, plain values and tensors; the sha256 of the file, known before it counts.
    Raises MachineError if the disk refuses, or the folder is gone in which that of the file would
    be made."""
    try:
        with atomic_path(path) as part:
            make_folder(path.parent, parents=False)
            with part.open("wb") as file:
                torch.save(content, file)
            sha256 = file_sha256(part)
    except RuntimeError as error:  # torch's writer hides the disk's own error, and a signal
        if isinstance(error.__context__, KeyboardInterrupt | Terminated):
            raise error.__context__ from None
        raise MachineError(
            f"{path} could not be written ({error}): is the disk full? The previous file, if "
            "any, is kept. Free some space and continue with --resume."
        ) from error
    return sha256
