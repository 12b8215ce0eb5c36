"""Checks for exact copies, near-duplicates, look-alikes, conflicting grades, unreadable files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from dr_ovo.audit.findings import WARNING, Finding, Photograph, severity_across
from dr_ovo.copies.descriptor_cache import Described
from dr_ovo.copies.near_duplicates import Pair, clusters
from dr_ovo.dataset.union_find import UnionFind
from dr_ovo.photographs.damage import Damage

LOOK_ALIKES = 4  # pictures in a cluster; publishers leave two or three of one eye by mistake


def copy_findings(photographs: Sequence[Photograph], pairs: Sequence[Pair]) -> list[Finding]:
    """One finding per group of files that show one picture; `pairs` are positions in `photographs`.

    A group of identical files is an exact copy, other groups of four or more are look-alikes. A
    group with two grades gives a second finding, for manual review.
    """
    links: dict[int, list[Pair]] = defaultdict(list)
    groups = clusters(pairs, len(photographs))
    group_of = {member: number for number, group in enumerate(groups) for member in group}
    for pair in pairs:
        links[group_of[pair.first]].append(pair)
    found = []
    for number, group in enumerate(groups):
        members = tuple(photographs[position] for position in group)
        found.append(_group_finding(members, links[number]))
        if len({p.grade for p in members if p.grade}) > 1:
            score = min(pair.score for pair in links[number])
            detail = "one picture, " + " and ".join(f"grade {p.grade} ({p.file})" for p in members)
            found.append(Finding("conflicting_grades", WARNING, members, score, detail))
    return found


def _group_finding(members: tuple[Photograph, ...], pairs: Sequence[Pair]) -> Finding:
    altered = [pair for pair in pairs if not pair.exact]
    score = min(pair.score for pair in pairs)
    how = sorted({pair.how for pair in altered})
    severity = severity_across(members)
    if not altered:
        return Finding("exact_copy", severity, members, score, "the same content")
    kind = "look_alikes" if len(members) >= LOOK_ALIKES else "near_duplicate"
    return Finding(kind, severity, members, score, "; ".join(how[:3]))


def look_alike_groups(photographs: Sequence[Photograph], pairs: Sequence[Pair]) -> list[int]:
    """(N,) numbers, equal for pictures that look alike or share a patient or visit."""
    groups = UnionFind(len(photographs))
    for pair in pairs:
        groups.join(pair.first, pair.second)
    first: dict[tuple[str, str], int] = {}
    for position, photograph in enumerate(photographs):
        for key in (("patient", photograph.patient), ("group", photograph.group)):
            if key[1]:
                groups.join(position, first.setdefault(key, position))
    return groups.labels()


def unreadable(
    photographs: Sequence[Photograph], described: Mapping[Path, Described | Damage]
) -> list[Finding]:
    """One warning on all files that can't be decoded; none if all can."""
    reasons = [
        (p, damage.reason) for p in photographs if isinstance(damage := described[p.path], Damage)
    ]
    if not reasons:
        return []
    detail = "; ".join(f"{p.file} {reason}" for p, reason in reasons[:5])
    members = tuple(p for p, _ in reasons)
    return [Finding("unreadable", WARNING, members, None, detail)]
