"""What must go where splits are given: test stays whole, val yields to it, train to both."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from dr_ovo.dataset.components import components
from dr_ovo.dataset.photograph import STRENGTH, Dropped, Photograph
from dr_ovo.prepare.planning.grouping import COPY, Relations

LOOK, PATIENT, GROUP = "look", "patient", "group"
# What binds a photograph to one of a stronger split.
WORDS = {
    COPY: "is a copy of {name}, which is in {split}",
    LOOK: "looks like {name}, which is in {split}, through others that look like both",
    PATIENT: "is of patient {patient}, as {name} in {split} is",
    GROUP: "is of group {group}, as {name} in {split} is",
    "": "belongs, through others, with {name} in {split}",
}


@dataclass(frozen=True)
class LookAlikes:
    """Who looks like whom: `neighbours` (and how), the number of the one picture whose copies they
    are, and of the cluster of look-alikes, of those that are in one."""

    neighbours: dict[int, dict[int, str]]
    copies: dict[int, int]
    clusters: dict[int, int]


class _Holders:
    """The photographs of a unit that stand in its strongest split, found by what binds to them:
    the first of each patient, group and look, so that a large unit takes no longer a photograph."""

    def __init__(
        self, photographs: Sequence[Photograph], looks: LookAlikes, unit: Iterable[int]
    ) -> None:
        self._photographs, self._look_alike_groups = photographs, looks
        members = list(unit)
        self.split = max((photographs[one].split for one in members), key=_strength)
        self._all = [one for one in members if photographs[one].split == self.split]
        self._first: dict[tuple[str, str | int], int] = {}
        for one in self._all:
            for key in self._keys(one):
                self._first.setdefault(key, one)

    def _keys(self, one: int) -> list[tuple[str, str | int]]:
        """What binds a photograph to others, the closest bond first."""
        mine = self._photographs[one]
        keys = [
            (COPY, self._look_alike_groups.copies.get(one, "")),
            (LOOK, self._look_alike_groups.clusters.get(one, "")),
            (PATIENT, mine.patient),
            (GROUP, mine.group),
        ]
        return [key for key in keys if key[1] != ""]

    def bond(self, one: int) -> tuple[int, str]:
        """The photograph of this split that `one` is bound to, and how, the closest bond first."""
        photographs, split = self._photographs, self.split
        alike = self._look_alike_groups.neighbours.get(one, {})
        direct = sorted(other for other in alike if photographs[other].split == split)
        bonds = [(key[0], self._first[key]) for key in self._keys(one) if key in self._first]
        kind, other = bonds[0] if bonds else ("", self._all[0])
        if kind == LOOK and direct:
            name, how = photographs[direct[0]].name, alike[direct[0]]
            return direct[0], f"looks like {name}, which is in {split} ({how})"
        mine, name = photographs[one], photographs[other].name
        words = WORDS[kind].format(name=name, split=split, patient=mine.patient, group=mine.group)
        return other, words


def leaks_into_official(
    photographs: Sequence[Photograph], relations: Relations
) -> dict[int, Dropped]:
    """Position -> why: train and val photographs bound to test, train ones bound to val."""
    looks = _look_alike_groups(relations, len(photographs))
    dropped = {}
    for unit in relations.components:
        holders = _Holders(photographs, looks, unit)
        for one in unit:
            if photographs[one].split != holders.split:
                other, reason = holders.bond(one)
                kind = f"shares_with_{holders.split}"
                dropped[one] = _drop(photographs, one, other, kind, reason)
    return dropped


def repeated_copies(
    photographs: Sequence[Photograph], relations: Relations, gone: Container[int]
) -> dict[int, Dropped]:
    """Position -> why: copies with the grade of another that stays; none of an official test."""
    dropped = {}
    for same in relations.copies:
        kept: dict[int, int] = {}
        left = [one for one in same if one not in gone]
        for one in sorted(left, key=lambda one: photographs[one].name):
            photograph = photographs[one]
            first = kept.setdefault(photograph.grade, one)
            if first != one and photograph.split != "test":
                reason = f"is a copy of {photographs[first].name}, with the same grade"
                dropped[one] = _drop(photographs, one, first, COPY, reason)
    return dropped


def _look_alike_groups(relations: Relations, count: int) -> LookAlikes:
    neighbours: dict[int, dict[int, str]] = {}
    for (first, second), how in relations.alike.items():
        neighbours.setdefault(first, {})[second] = how
        neighbours.setdefault(second, {})[first] = how
    clusters = [same for same in components(count, relations.alike) if len(same) > 1]
    return LookAlikes(neighbours, _numbered(relations.copies), _numbered(clusters))


def _numbered(groups: Iterable[Iterable[int]]) -> dict[int, int]:
    return {one: number for number, same in enumerate(groups) for one in same}


def _strength(split: str) -> int:
    return STRENGTH.get(split, -1)


def _drop(
    photographs: Sequence[Photograph], one: int, other: int, kind: str, reason: str
) -> Dropped:
    mine = photographs[one]
    return Dropped(mine.name, kind, reason, mine.grade, mine.split, photographs[other].name)
