"""Checks for patients and visits in two splits; notes on datasets without splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from dr_ovo.audit.findings import LEAK, Finding, Photograph
from dr_ovo.dataset.words import SPLIT_WORDS


def owner_findings(photographs: Sequence[Photograph]) -> list[Finding]:
    """One leak per patient, and per visit or site of the manifest, with pictures in two splits.

    Unknown patients and groups ("") are not judged.
    """
    return [
        *_shared(photographs, lambda p: p.patient, "patient_in_two_splits", "patient"),
        *_shared(photographs, lambda p: p.group, "group_in_two_splits", "group"),
    ]


def without_splits(photographs: Sequence[Photograph]) -> list[str]:
    """A note if there are fewer than two splits, so that none can leak into another."""
    found = sorted({p.split for p in photographs} - {""})
    if len(found) > 1:
        return []
    reason = f"the only split found is {found[0]}" if found else "no folders of splits were found"
    return [
        f"leaks across splits were not judged: {reason} (expected folders named "
        f"{', '.join(SPLIT_WORDS)}, in upper or lower case)"
    ]


def _shared(
    photographs: Sequence[Photograph], owner: Callable[[Photograph], str], kind: str, word: str
) -> list[Finding]:
    owned: dict[str, list[Photograph]] = defaultdict(list)
    for photograph in photographs:
        if photograph.split and owner(photograph):
            owned[owner(photograph)].append(photograph)
    return [
        Finding(kind, LEAK, tuple(members), None, f"{word} {name}")
        for name, members in sorted(owned.items())
        if len({p.split for p in members}) > 1
    ]
