"""Which photographs belong together: one patient, one visit or site, one picture.

What belongs together, over any chain of these, goes to one split.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dr_ovo.copies.near_duplicates import Pair
from dr_ovo.dataset.components import components
from dr_ovo.dataset.photograph import Photograph

COPY = "copy"


@dataclass(frozen=True)
class Relations:
    """What binds photographs 0 .. N-1 to one another.

    `components` are all of them by what belongs together, `copies` those with one content (two or
    more each), `alike` (first, second) -> how they look alike, near-duplicates and copies.
    """

    components: tuple[tuple[int, ...], ...]
    copies: tuple[tuple[int, ...], ...]
    alike: dict[tuple[int, int], str]


def relate(
    photographs: Sequence[Photograph], contents: Sequence[str], pairs: Iterable[Pair]
) -> Relations:
    """The relations of N photographs with the sha256 `contents` (N,) and the look-alikes `pairs`.

    The order of the photographs changes positions only, never what belongs together.
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
    """(members, how) of look-alikes with different grades, for a person to judge.

    Copies of one picture are one entry, near-duplicates one a pair.
    """
    of_copy = {one: number for number, same in enumerate(relations.copies) for one in same}
    alike: list[tuple[tuple[int, ...], str]] = [(same, COPY) for same in relations.copies]
    for (first, second), how in relations.alike.items():
        if first not in of_copy or of_copy[first] != of_copy.get(second):
            alike.append(((first, second), how))
    return sorted(
        (members, how)
        for members, how in alike
        if len({photographs[one].grade for one in members}) > 1
    )


def _by(names: Sequence[str]) -> list[list[int]]:
    """The positions of each name but ""."""
    found = defaultdict(list)
    for position, name in enumerate(names):
        if name:
            found[name].append(position)
    return list(found.values())
