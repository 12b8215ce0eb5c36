"""A file that can't be used, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LISTED = 40


@dataclass(frozen=True)
class Damage:
    """A file that can't be used, and why."""

    path: Path
    reason: str


def describe(damaged: Sequence[Damage]) -> str:
    """A line a file, the first of them, and how many more there are."""
    lines = [f"  {damage.path}: {damage.reason}" for damage in damaged[:LISTED]]
    if len(damaged) > LISTED:
        lines.append(f"  ... and {len(damaged) - LISTED} more")
    return "\n".join(lines)
