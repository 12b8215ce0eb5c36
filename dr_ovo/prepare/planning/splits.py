"""Which split each photograph goes to, and which are left out.

What belongs together (see `grouping`) is one unit and goes to one split. Which one depends on the
seed, the unit's name and its worst grade, not on the order of files or rows.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.dataset.words import SPLITS
from dr_ovo.errors import UserError
from dr_ovo.prepare.options import Fractions
from dr_ovo.prepare.planning.grouping import Relations
from dr_ovo.prepare.planning.official_splits import leaks_into_official, repeated_copies

RULE = (
    "patients, groups and near-duplicates stay together; stratified by the worst grade; ordered by "
    "sha256 of seed and name"
)


@dataclass(frozen=True)
class Plan:
    """Position of a photograph -> its split, or why it is left out; each is in one of the two."""

    split: dict[int, str]
    dropped: dict[int, Dropped]


def make_plan(
    photographs: Sequence[Photograph], relations: Relations, fractions: Fractions, seed: int
) -> Plan:
    """The split of every photograph.

    Official splits are kept, test whole; those that the source lacks are cut from its train.
    Raises UserError for official splits without train.
    """
    official = official_splits(photographs)
    dropped = leaks_into_official(photographs, relations)
    dropped |= repeated_copies(photographs, relations, dropped)
    kept = [one for one in range(len(photographs)) if one not in dropped]
    split = {one: photographs[one].split for one in kept}
    wanted = {
        name: share
        for name, share in (("test", fractions.test), ("val", fractions.val))
        if name not in official
    }
    if wanted:
        free = {one for one in kept if split[one] in ("", "train")}
        units = [[one for one in unit if one in free] for unit in relations.components]
        split |= deal_units(photographs, [unit for unit in units if unit], wanted, seed)
    return Plan(split, dropped)


def official_splits(photographs: Sequence[Photograph]) -> tuple[str, ...]:
    """The splits that the source gives, in the order train, val, test; none where it gives none."""
    given = {photograph.split for photograph in photographs} - {""}
    if given and "train" not in given:
        raise UserError(
            f"The official splits are {', '.join(sorted(given))}: none of the photographs is for "
            "train. Add them, or split anew with --split_column none."
        )
    return tuple(name for name in SPLITS if name in given)


def deal_units(
    photographs: Sequence[Photograph],
    units: Sequence[Sequence[int]],
    shares: dict[str, float],
    seed: int,
) -> dict[int, str]:
    """Position -> split: of each grade (a unit's worst) about `shares` go to the splits named.

    The rest is train. A unit goes where it brings the number of photographs nearer to its share.
    """
    strata = defaultdict(list)
    for unit in units:
        strata[max(photographs[one].grade for one in unit)].append(unit)
    split: dict[int, str] = {}
    for stratum in strata.values():
        stratum.sort(key=lambda unit: _place_in_order(photographs, unit, seed))
        for name, dealt in _deal(stratum, shares).items():
            split |= {one: name for unit in dealt for one in unit}
    return split


def _place_in_order(photographs: Sequence[Photograph], unit: Sequence[int], seed: int) -> str:
    name = min(photographs[one].owner for one in unit)
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def _deal(units: list[Sequence[int]], shares: dict[str, float]) -> dict[str, list[Sequence[int]]]:
    total = sum(map(len, units))
    dealt: dict[str, list[Sequence[int]]] = {name: [] for name in (*shares, "train")}
    room = {name: share * total for name, share in shares.items()}
    for unit in units:
        fitting = [name for name in shares if len(unit) / 2 <= room[name]]
        name = fitting[0] if fitting else "train"
        dealt[name].append(unit)
        if fitting:
            room[name] -= len(unit)
    # A grade with few units: first train has one, then val; test may lack it, training can't.
    for name in ("train", "val"):
        giver = max(dealt, key=lambda other: len(dealt[other]))
        if name in dealt and not dealt[name] and (name == "train" or len(dealt[giver]) > 1):
            smallest = min(range(len(dealt[giver])), key=lambda i: len(dealt[giver][i]))
            dealt[name].append(dealt[giver].pop(smallest))
    return dealt
