"""Damaged files: the error, the record of one (path and reason), and how messages list them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_LISTED = 40


class DamagedImage(ValueError):
    """A file that can't be read as a photograph; the message says why."""


class InnerDamage(DamagedImage):
    """Damage that decoders pass over: they make a picture of what is left."""


@dataclass(frozen=True)
class Damage:
    """A file that can't be used, and why. `decodes`: OpenCV makes a picture of it all the same, on
    which version 0.1.0 trained."""

    path: Path
    reason: str
    decodes: bool = False


def describe(damaged: Sequence[Damage]) -> str:
    """One line per file for the first MAX_LISTED, then how many more there are."""
    lines = [f"  {damage.path}: {damage.reason}" for damage in damaged[:MAX_LISTED]]
    if len(damaged) > MAX_LISTED:
        lines.append(f"  ... and {len(damaged) - MAX_LISTED} more")
    return "\n".join(lines)
