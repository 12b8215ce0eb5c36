"""Tells checkpoints apart by the directory of their archive, without reading them whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from dr_ovo.safe_files.archive import read_parts
from dr_ovo.safe_files.problems import DamagedError


def directory_sha256(checkpoint: Path) -> str | None:
    """The sha256 of the directory of a zip archive: names, sizes and checksums of all that is in
    it. Tells files apart without reading them whole; None for what is no archive."""
    try:
        with checkpoint.open("rb") as file:
            parts = [(part.name, part.size, part.crc) for part in read_parts(file)]
    except (OSError, DamagedError):
        return None
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
