"""Drops photographs that leak into an official test or val split, and repeated copies.

Test stays whole: what val or train shares with it is dropped there, and what train shares with val.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from dr_ovo.dataset.photograph import SPLIT_RANK, Dropped, Photograph
from dr_ovo.dataset.union_find import components
from dr_ovo.prepare.planning.grouping import COPY, Relations

LOOK, PATIENT, GROUP = "look", "patient", "group"
# Kind of link to a photograph in a split of higher rank -> the reason that is reported.
REASONS = {
    COPY: "is a copy of {name}, which is in {split}",
    LOOK: "looks like {name}, which is in {split}, through a chain of look-alikes",
    PATIENT: "shares patient {patient} with {name}, which is in {split}",
    GROUP: "shares group {group} with {name}, which is in {split}",
    "": "is linked through other photographs to {name}, which is in {split}",
}


@dataclass(frozen=True)
class LookAlikes:
    """Look-alikes by position: `neighbours` (position -> how alike), and the number of the group
    of identical files (`copies`) and of the cluster of look-alikes, where a photograph is in one.
    """

    neighbours: dict[int, dict[int, str]]
    copies: dict[int, int]
    clusters: dict[int, int]


class _KeptPhotographs:
    """The photographs of a unit that are in its highest-ranking split, indexed by what links to
    them: the first of each patient, group and cluster, so that time per photograph is constant.
    """

    def __init__(
        self, photographs: Sequence[Photograph], looks: LookAlikes, unit: Iterable[int]
    ) -> None:
        self._photographs, self._looks = photographs, looks
        members = list(unit)
        self.split = max((photographs[position].split for position in members), key=_rank)
        self._all = [position for position in members if photographs[position].split == self.split]
        self._first: dict[tuple[str, str | int], int] = {}
        for position in self._all:
            for key in self._keys(position):
                self._first.setdefault(key, position)

    def _keys(self, position: int) -> list[tuple[str, str | int]]:
        """What may link a photograph to others, the closest link first."""
        mine = self._photographs[position]
        keys = [
            (COPY, self._looks.copies.get(position, "")),
            (LOOK, self._looks.clusters.get(position, "")),
            (PATIENT, mine.patient),
            (GROUP, mine.group),
        ]
        return [key for key in keys if key[1] != ""]

    def closest_link(self, position: int) -> tuple[int, str]:
        """The photograph of this split that is linked to `position` most closely; the reason."""
        photographs, split = self._photographs, self.split
        alike = self._looks.neighbours.get(position, {})
        direct = sorted(other for other in alike if photographs[other].split == split)
        links = [(key[0], self._first[key]) for key in self._keys(position) if key in self._first]
        kind, other = links[0] if links else ("", self._all[0])
        if kind == LOOK and direct:
            name, how = photographs[direct[0]].name, alike[direct[0]]
            return direct[0], f"looks like {name}, which is in {split} ({how})"
        mine, name = photographs[position], photographs[other].name
        reason = REASONS[kind].format(
            name=name, split=split, patient=mine.patient, group=mine.group
        )
        return other, reason


def leaks_into_official(
    photographs: Sequence[Photograph], relations: Relations
) -> dict[int, Dropped]:
    """Position -> drop: train and val photographs linked to test, and train ones linked to val."""
    looks = _look_alike_groups(relations, len(photographs))
    dropped = {}
    for unit in relations.components:
        kept = _KeptPhotographs(photographs, looks, unit)
        for position in unit:
            if photographs[position].split != kept.split:
                other, reason = kept.closest_link(position)
                kind = f"shares_with_{kept.split}"
                dropped[position] = _drop(photographs, position, other, kind, reason)
    return dropped


def repeated_copies(
    photographs: Sequence[Photograph], relations: Relations, gone: Container[int]
) -> dict[int, Dropped]:
    """Position -> drop: copies of a kept photograph with the same grade; none in official test."""
    dropped = {}
    for same in relations.copies:
        kept: dict[int, int] = {}
        remaining = [position for position in same if position not in gone]
        for position in sorted(remaining, key=lambda position: photographs[position].name):
            photograph = photographs[position]
            first = kept.setdefault(photograph.grade, position)
            if first != position and photograph.split != "test":
                reason = f"is a copy of {photographs[first].name}, with the same grade"
                dropped[position] = _drop(photographs, position, first, COPY, reason)
    return dropped


def _look_alike_groups(relations: Relations, count: int) -> LookAlikes:
    neighbours: dict[int, dict[int, str]] = {}
    for (first, second), how in relations.alike.items():
        neighbours.setdefault(first, {})[second] = how
        neighbours.setdefault(second, {})[first] = how
    clusters = [same for same in components(count, relations.alike) if len(same) > 1]
    return LookAlikes(neighbours, _numbered(relations.copies), _numbered(clusters))


def _numbered(groups: Iterable[Iterable[int]]) -> dict[int, int]:
    return {position: number for number, same in enumerate(groups) for position in same}


def _rank(split: str) -> int:
    return SPLIT_RANK.get(split, -1)


def _drop(
    photographs: Sequence[Photograph], position: int, other: int, kind: str, reason: str
) -> Dropped:
    mine = photographs[position]
    return Dropped(mine.name, kind, reason, mine.grade, mine.split, photographs[other].name)
