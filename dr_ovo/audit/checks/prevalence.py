"""Checks for a val or test split with artificially balanced grades (no real prevalence)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dr_ovo.audit.findings import WARNING, Finding, Photograph

JUDGED = ("val", "test")
MIN_GRADES = 3
MIN_PICTURES = 15
MAX_UNEQUAL = 1.05  # largest count over smallest; in clinics the ratio is 2 to 30


def prevalence_findings(photographs: Sequence[Photograph]) -> list[Finding]:
    """One warning each for val and test if all grades have about the same number of pictures."""
    return [
        Finding("balanced_prevalence", WARNING, tuple(members), None, detail)
        for split in JUDGED
        if (members := [p for p in photographs if p.split == split])
        and (detail := _balanced(split, Counter(p.grade for p in members)))
    ]


def _balanced(split: str, counts: Counter[str]) -> str:
    """The detail of the warning for a balanced split; "" for one with unequal grades."""
    if len(counts) < MIN_GRADES or counts.total() < MIN_PICTURES:
        return ""
    if max(counts.values()) > MAX_UNEQUAL * min(counts.values()):
        return ""
    shown = " ".join(f"{grade}:{counts[grade]}" for grade in sorted(counts))
    return (
        f"{split} has equally many pictures per grade ({shown}): no clinic has this prevalence, so "
        "accuracy and predictive values on it apply to no population"
    )
