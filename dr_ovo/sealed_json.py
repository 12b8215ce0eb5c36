"""JSON files with a digest of themselves, which tells whether they are as they were written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import write_json

DIGEST = "digest"  # key of a file's own


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object with a digest of itself; raises MachineError if the disk refuses."""
    write_json(path, {**content, DIGEST: digest_of(content)})


def digest_of(content: Mapping[str, Any]) -> str:
    """The sha256 of a JSON object, without its digest."""
    own = {key: value for key, value in content.items() if key != DIGEST}
    as_read = json.loads(json.dumps(own))  # with text as keys, by which they are sorted
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def check_digest(content: Mapping[str, Any], path: Path, advice: str) -> None:
    """Raises UserError, ending in `advice`, for what is not what was written; earlier versions
    wrote no digest."""
    if DIGEST in content and content[DIGEST] != digest_of(content):
        raise UserError(
            f"{path} is damaged: it is not as it was written, by hand or by an accident. {advice}"
        )
