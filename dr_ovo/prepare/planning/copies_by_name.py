"""Groups copies recognised by file name with their originals, as the audit would."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from dr_ovo.dataset.copy_names import Family, families
from dr_ovo.dataset.photograph import SPLIT_RANK, Photograph
from dr_ovo.dataset.union_find import components
from dr_ovo.prepare.planning.grouping import Relations


def bind_copies_by_name(
    photographs: Sequence[Photograph], relations: Relations, placed: Sequence[str]
) -> Relations:
    """The relations, extended by links between photographs that are named as copies.

    Considers their names in the source and the names that they get, `placed` (N,), which an audit
    will see. Sure copies count as alike. Where the name proves too little, nothing is dropped: the
    photographs only go to one split, if the source has no official splits.
    """
    official = any(photograph.split for photograph in photographs)
    alike = dict(relations.alike)
    possible: list[tuple[int, int]] = []
    for names in ([p.name for p in photographs], placed):
        for family in families(names, relations.alike):
            if family.sure:
                how = f"named as copies of {family.base}"
                alike = dict.fromkeys(_star(photographs, family), how) | alike
            elif not official and len(family.originals) <= 1:
                possible += pairwise(family.members)
    known: Iterable[tuple[int, int]] = (
        both for same in relations.components for both in pairwise(same)
    )
    together = components(len(photographs), [*known, *alike, *possible])
    return replace(relations, components=tuple(together), alike=alike)


def _star(photographs: Sequence[Photograph], family: Family) -> list[tuple[int, int]]:
    """Pairs of each member with a central one: in the highest-ranking split, an original if any."""
    centre = max(
        family.members,
        key=lambda position: (
            SPLIT_RANK.get(photographs[position].split, -1),
            position in family.originals,
            -position,
        ),
    )
    return [
        (min(position, centre), max(position, centre))
        for position in family.members
        if position != centre
    ]
