"""Val or test balanced by hand: precision, accuracy and predictive values there are no clinic's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dr_ovo.audit.findings import WARNING, Finding, Photograph

JUDGED = ("val", "test")
MIN_GRADES = 3
MIN_PICTURES = 15
MAX_UNEQUAL = 1.05  # largest count over smallest; grades of a clinic differ by 2 to 30


def prevalence_findings(photographs: Sequence[Photograph]) -> list[Finding]:
    """A warning for each of val and test whose grades are equally many."""
    return [
        Finding("balanced_prevalence", WARNING, tuple(members), None, detail)
        for split in JUDGED
        if (members := [p for p in photographs if p.split == split])
        and (detail := _balanced(split, Counter(p.grade for p in members)))
    ]


def _balanced(split: str, counts: Counter[str]) -> str:
    """What is said of a balanced split; "" for one with a prevalence of its own."""
    if len(counts) < MIN_GRADES or counts.total() < MIN_PICTURES:
        return ""
    if max(counts.values()) > MAX_UNEQUAL * min(counts.values()):
        return ""
    shown = " ".join(f"{grade}:{counts[grade]}" for grade in sorted(counts))
    return (
        f"{split} has equally many pictures of each grade ({shown}): no clinic's prevalence, so "
        "accuracy and predictive values there hold for no population"
    )
