"""Checks that the files of a prepared dataset are still those of its manifest (sha256)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dr_ovo.audit.findings import Photograph
from dr_ovo.dataset.manifest import MANIFEST
from dr_ovo.errors import UserError

SHOWN = 5


def require_listed_contents(
    root: Path, photographs: Sequence[Photograph], contents: Mapping[Path, str]
) -> None:
    """Raises UserError if a picture's sha256 in `contents` differs from the manifest's.

    Patient, visit and look-alikes of a replaced picture are unknown, so the splits prove nothing.
    """
    changed = [
        p.file for p in photographs if p.sha256 and contents.get(p.path, p.sha256) != p.sha256
    ]
    if changed:
        named = ", ".join(changed[:SHOWN]) + (", ..." if len(changed) > SHOWN else "")
        raise UserError(
            f"{root}: {len(changed)} pictures are not those listed in {MANIFEST} (their sha256 "
            f"differs): {named}. Prepare the dataset again with prepare_dataset.py into a new "
            f"folder, restore the pictures, or remove {MANIFEST} to continue without known "
            "patients and visits."
        )
