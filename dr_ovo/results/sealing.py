"""Digests by which the files of a results folder are recognised as belonging together.

The file that is written last names those of the others, and has one of itself: progress.json of a
training, evaluation.json of an evaluation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.safe_files.archive import read_parts
from dr_ovo.safe_files.problems import DamagedError

DIGEST = "digest"  # key of a file's own


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object with a digest of itself; raises MachineError if the disk refuses."""
    write_json(path, {**content, DIGEST: digest_of(content)})


def digest_of(content: Mapping[str, Any]) -> str:
    """The sha256 of a JSON object, without its digest."""
    own = {key: value for key, value in content.items() if key != DIGEST}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def check_digest(content: Mapping[str, Any], path: Path, advice: str) -> None:
    """Raises UserError, ending in `advice`, for what is not what was written; earlier versions
    wrote no digest."""
    if DIGEST in content and content[DIGEST] != digest_of(content):
        raise UserError(
            f"{path} is damaged: it is not as it was written, by hand or by an accident. {advice}"
        )


def directory_sha256(checkpoint: Path) -> str | None:
    """The sha256 of the directory of a zip archive: names, sizes and checksums of all that is in
    it. Tells files apart without reading them whole; None for what is no archive."""
    try:
        with checkpoint.open("rb") as file:
            parts = [(part.name, part.size, part.crc) for part in read_parts(file)]
    except (OSError, DamagedError):
        return None
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
