"""Groups photographs that must be in one split: same patient, same visit or site, same picture.

Chains count: photographs that are linked through others are in one group as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dr_ovo.copies.near_duplicates import Pair
from dr_ovo.dataset.photograph import Photograph
from dr_ovo.dataset.union_find import components

COPY = "copy"


@dataclass(frozen=True)
class Relations:
    """What links photographs 0 .. N-1 to one another.

    `components` are the groups that must be in one split; together they contain all photographs.
    `copies` are groups of two or more with identical content. `alike` maps (first, second) to how
    the two are alike, for near-duplicates and copies.
    """

    components: tuple[tuple[int, ...], ...]
    copies: tuple[tuple[int, ...], ...]
    alike: dict[tuple[int, int], str]


def relate(
    photographs: Sequence[Photograph], contents: Sequence[str], pairs: Iterable[Pair]
) -> Relations:
    """The relations of N photographs with the sha256 `contents` (N,) and the look-alikes `pairs`.

    The order of the photographs affects positions only, not the groups.
    """
    equal = [both for same in _by(contents) for both in pairwise(same)]
    alike = {}
    for pair in pairs:
        first, second = sorted((pair.first, pair.second))
        alike[first, second] = COPY if pair.exact else f"{pair.how}, score {pair.score:.2f}"
        if pair.exact:
            equal.append((first, second))
    copies = [same for same in components(len(photographs), equal) if len(same) > 1]
    for same in copies:
        alike |= dict.fromkeys(pairwise(same), COPY)
    links = [
        both
        for names in ([p.patient for p in photographs], [p.group for p in photographs])
        for same in _by(names)
        for both in pairwise(same)
    ]
    together = components(len(photographs), [*links, *alike])
    return Relations(tuple(together), tuple(copies), alike)


def differing_grades(
    photographs: Sequence[Photograph], relations: Relations
) -> list[tuple[tuple[int, ...], str]]:
    """(members, how) of look-alikes with different grades, for manual review.

    There is one entry per group of copies, and one per pair of near-duplicates.
    """
    of_copy = {
        position: number for number, same in enumerate(relations.copies) for position in same
    }
    alike: list[tuple[tuple[int, ...], str]] = [(same, COPY) for same in relations.copies]
    for (first, second), how in relations.alike.items():
        if first not in of_copy or of_copy[first] != of_copy.get(second):
            alike.append(((first, second), how))
    return sorted(
        (members, how)
        for members, how in alike
        if len({photographs[position].grade for position in members}) > 1
    )


def _by(names: Sequence[str]) -> list[list[int]]:
    """The positions of each name, except the empty one."""
    found = defaultdict(list)
    for position, name in enumerate(names):
        if name:
            found[name].append(position)
    return list(found.values())
