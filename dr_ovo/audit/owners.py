"""Patients and visits that stand in two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from dr_ovo.audit.findings import LEAK, Finding, Photograph


def owner_findings(photographs: Sequence[Photograph]) -> list[Finding]:
    """A leak for each patient, and each visit or site of the manifest, with pictures in two splits.

    Unknown patients and groups ("") are not judged.
    """
    return [
        *_shared(photographs, lambda p: p.patient, "patient_in_two_splits", "patient"),
        *_shared(photographs, lambda p: p.group, "group_in_two_splits", "group"),
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
