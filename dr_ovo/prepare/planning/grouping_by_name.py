"""Copies by name go where their picture goes: what an audit would take for copies is bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from dr_ovo.dataset.components import components
from dr_ovo.dataset.copy_names import Family, families
from dr_ovo.dataset.photograph import STRENGTH, Photograph
from dr_ovo.prepare.planning.grouping import Relations


def bind_copies_by_name(
    photographs: Sequence[Photograph], relations: Relations, placed: Sequence[str]
) -> Relations:
    """The relations, and the bonds between photographs that are named as copies.

    Looked at are their names in the source and those that they get, `placed` (N,), which an audit
    will see. Sure copies count as alike. Of others, where the name tells too little, nothing is
    dropped: they go to one split where the source gives none.
    """
    official = any(photograph.split for photograph in photographs)
    alike = dict(relations.alike)
    loose: list[tuple[int, int]] = []
    for names in ([p.name for p in photographs], placed):
        for family in families(names, relations.alike):
            if family.sure:
                how = f"named as copies of {family.base}"
                alike = dict.fromkeys(_star(photographs, family), how) | alike
            elif not official and len(family.originals) <= 1:
                loose += pairwise(family.members)
    known: Iterable[tuple[int, int]] = (
        both for same in relations.components for both in pairwise(same)
    )
    together = components(len(photographs), [*known, *alike, *loose])
    return replace(relations, components=tuple(together), alike=alike)


def _star(photographs: Sequence[Photograph], family: Family) -> list[tuple[int, int]]:
    """Pairs of one member with each other one: of the picture, in the split that keeps it."""
    centre = max(
        family.members,
        key=lambda one: (STRENGTH.get(photographs[one].split, -1), one in family.originals, -one),
    )
    return [(min(one, centre), max(one, centre)) for one in family.members if one != centre]
