"""Damaged files: the record of one (path and reason), and how messages list them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_LISTED = 40


@dataclass(frozen=True)
class Damage:
    """A file that can't be used, and why."""

    path: Path
    reason: str


def describe(damaged: Sequence[Damage]) -> str:
    """One line per file for the first MAX_LISTED, then how many more there are."""
    lines = [f"  {damage.path}: {damage.reason}" for damage in damaged[:MAX_LISTED]]
    if len(damaged) > MAX_LISTED:
        lines.append(f"  ... and {len(damaged) - MAX_LISTED} more")
    return "\n".join(lines)
