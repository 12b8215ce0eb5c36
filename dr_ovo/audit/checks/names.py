"""Findings on copies that their file names give away."""

from __future__ import annotations

from collections.abc import Sequence

from dr_ovo.audit.findings import WARNING, Finding, Photograph, severity_across
from dr_ovo.copies.near_duplicates import Pair
from dr_ovo.dataset.copy_names import families


def name_findings(photographs: Sequence[Photograph], pairs: Sequence[Pair]) -> list[Finding]:
    """A finding for each picture whose copies stand beside it or in another split.

    Where the picture's name tells too little (`7`), only look-alikes in `pairs` (positions in
    `photographs`) make it a leak. Copies without a second file of their picture are one finding
    together.
    """
    alike = [(pair.first, pair.second) for pair in pairs]
    found: list[Finding] = []
    alone: list[Photograph] = []
    for family in families([p.file for p in photographs], alike):
        members = tuple(photographs[one] for one in family.members)
        if len(members) == 1:
            alone += members
            continue
        detail = f"named as copies of {family.base}" + (
            "" if family.sure else ", a name that tells little"
        )
        severity = severity_across(members) if family.sure else WARNING
        found.append(Finding("augmented_copy", severity, members, None, detail))
    if alone:
        detail = "named as copies; the pictures that they were made from are not here"
        found.append(Finding("augmented_copy", WARNING, tuple(alone), None, detail))
    return found
