"""Whether the pictures of a prepared dataset are still those that its manifest lists."""

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
    """Raises UserError where a picture's sha256 in `contents` is not that of its manifest.

    Patients, visits and look-alikes of another picture are unknown, so the splits prove nothing.
    """
    changed = [
        p.file for p in photographs if p.sha256 and contents.get(p.path, p.sha256) != p.sha256
    ]
    if changed:
        named = ", ".join(changed[:SHOWN]) + (", ..." if len(changed) > SHOWN else "")
        raise UserError(
            f"{root}: {len(changed)} pictures are not those that {MANIFEST} lists (their sha256 "
            f"differs): {named}. Prepare the set anew with prepare_dataset.py into a new folder, "
            f"put the pictures back, or remove {MANIFEST} to go on without knowing patients and "
            "visits."
        )
