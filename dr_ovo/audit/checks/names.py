"""Checks for copies recognised by their file names (`_aug`, `copy`, `(1)`)."""

from __future__ import annotations

from collections.abc import Sequence

from dr_ovo.audit.findings import WARNING, Finding, Photograph, severity_across
from dr_ovo.copies.near_duplicates import Pair
from dr_ovo.dataset.copy_names import families


def name_findings(photographs: Sequence[Photograph], pairs: Sequence[Pair]) -> list[Finding]:
    """One finding per picture with copies, in its own or another split.

    If the name is not specific (`7`), it is a leak only if look-alikes in `pairs` (positions in
    `photographs`) confirm it. Copies without another file of the same picture are combined in one
    finding.
    """
    alike = [(pair.first, pair.second) for pair in pairs]
    found: list[Finding] = []
    alone: list[Photograph] = []
    for family in families([p.file for p in photographs], alike):
        members = tuple(photographs[position] for position in family.members)
        if len(members) == 1:
            alone += members
            continue
        detail = f"named as copies of {family.base}" + (
            "" if family.sure else ", a name that proves little"
        )
        severity = severity_across(members) if family.sure else WARNING
        found.append(Finding("augmented_copy", severity, members, None, detail))
    if alone:
        detail = "named as copies; their originals are not in the dataset"
        found.append(Finding("augmented_copy", WARNING, tuple(alone), None, detail))
    return found
