"""What must go where splits are given: test stays whole, val yields to it, train to both."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from dr_ovo.data.grouping import COPY, Relations
from dr_ovo.data.photographs import STRENGTH, Dropped, Photograph


def leaks_into_official(
    photographs: Sequence[Photograph], relations: Relations
) -> dict[int, Dropped]:
    """Position -> why: train and val photographs bound to test, train ones bound to val."""
    neighbours: dict[int, dict[int, str]] = {}
    for (first, second), how in relations.alike.items():
        neighbours.setdefault(first, {})[second] = how
        neighbours.setdefault(second, {})[first] = how
    of_copy = {one: number for number, same in enumerate(relations.copies) for one in same}
    dropped = {}
    for unit in relations.components:
        strongest = max((photographs[one].split for one in unit), key=_strength)
        holders = [one for one in unit if photographs[one].split == strongest]
        for one in unit:
            if photographs[one].split != strongest:
                alike = dict(neighbours.get(one, {}))
                if one in of_copy:
                    alike |= {o: COPY for o in holders if of_copy.get(o) == of_copy[one]}
                other, reason = _bond(photographs, one, holders, alike)
                dropped[one] = _drop(photographs, one, other, f"shares_with_{strongest}", reason)
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


def _bond(
    photographs: Sequence[Photograph], one: int, holders: Iterable[int], alike: dict[int, str]
) -> tuple[int, str]:
    """The photograph of another split that `one` is bound to, and how, the closest bond first."""
    mine = photographs[one]
    where = ""
    bonds = []
    for other in holders:
        its = photographs[other]
        where = its.split
        how = alike.get(other)
        if how == COPY:
            bonds.append((0, other, f"is a copy of {its.name}, which is in {where}"))
        elif how:
            bonds.append((1, other, f"looks like {its.name}, which is in {where} ({how})"))
        elif mine.patient and mine.patient == its.patient:
            bonds.append((2, other, f"is of patient {mine.patient}, as {its.name} in {where} is"))
        elif mine.group and mine.group == its.group:
            bonds.append((3, other, f"is of group {mine.group}, as {its.name} in {where} is"))
        else:
            bonds.append((4, other, f"belongs, through others, with {its.name} in {where}"))
    _, other, reason = min(bonds)
    return other, reason


def _strength(split: str) -> int:
    return STRENGTH.get(split, -1)


def _drop(
    photographs: Sequence[Photograph], one: int, other: int, kind: str, reason: str
) -> Dropped:
    mine = photographs[one]
    return Dropped(mine.name, kind, reason, mine.grade, mine.split, photographs[other].name)
