"""Adds to an audit what the dataset shares with another one (`audit DIR --against OTHER`).

A network that was pretrained on one of them has seen what it is tested on in the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from dr_ovo.audit.findings import LEAK, AuditReport, Finding, Photograph, ordered
from dr_ovo.audit.measurement_cache import DESCRIPTORS
from dr_ovo.choices import MAX_MEGAPIXELS
from dr_ovo.copies.between_sets import shared_pictures
from dr_ovo.copies.descriptor_cache import Described, describe_files
from dr_ovo.copies.near_duplicates import MIN_SIDE, too_small
from dr_ovo.errors import UserError
from dr_ovo.photographs.damage import Damage


def require_apart(root: Path, other: Path) -> None:
    """Raises UserError if one of two datasets is, or lies inside, the other."""
    here, there = root.resolve(), other.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise UserError(
            f"--against {other} and {root} have the same pictures, as one folder is inside the "
            "other. Give two folders that lie apart, such as two splits or two datasets."
        )


def with_shared(
    report: AuditReport,
    photographs: Sequence[Photograph],
    cache: Path | None,
    other: Path,
    others: Sequence[Photograph],
    other_cache: Path | None,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> AuditReport:
    """The report with one leak per photograph of the audited `photographs` that the dataset `other`
    has as well, and with notes on what was compared.

    The caches are the folders of the two datasets' audits (None: nothing is cached).
    """
    ours, theirs = [p.path for p in photographs], [p.path for p in others]
    file = cache / DESCRIPTORS if cache else None
    other_file = other_cache / DESCRIPTORS if other_cache else None
    look = partial(describe_files, max_megapixels=max_megapixels)
    described = look(ours, file) | look(theirs, other_file)
    shared = shared_pictures(ours, theirs, described, file)
    findings = []
    for picture in shared:
        here = [photographs[position] for position in picture.ours]
        there = [others[position] for position in picture.theirs]
        findings.append(_finding(here, there, other, picture.score, picture.how))
    common = sum(len(picture.ours) for picture in shared)
    notes = [
        f"compared with {len(others)} pictures of {other}: {common} of {len(photographs)} here are "
        "there as well",
        *_not_compared(theirs, described, other),
    ]
    return replace(
        report,
        findings=ordered([*report.findings, *findings]),
        notes=(*report.notes, *notes),
        against=other,
    )


def _finding(
    here: Sequence[Photograph],
    there: Sequence[Photograph],
    other: Path,
    score: float,
    how: str,
) -> Finding:
    grades = [sorted({p.grade for p in some if p.grade}) for some in (here, there)]
    detail = how
    if all(grades) and grades[0] != grades[1]:
        detail += "; grade {} here, {} there".format(*(" and ".join(some) for some in grades))
    # The splits of a finding are those of the audited dataset.
    named = [replace(p, file=str(other / p.file), split="") for p in there]
    return Finding("in_other_set", LEAK, (*here, *named), score, detail)


def _not_compared(
    theirs: Sequence[Path], described: Mapping[Path, Described | Damage], other: Path
) -> list[str]:
    damaged = sum(isinstance(described[path], Damage) for path in theirs)
    small = len(too_small(theirs, described))
    notes = []
    if damaged:
        notes.append(f"{damaged} pictures of {other} can't be read and were not compared")
    if small:
        notes.append(
            f"{small} pictures of {other} have a side below {MIN_SIDE} pixels: they were compared "
            "for identity only"
        )
    return notes
