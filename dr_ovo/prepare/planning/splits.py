"""Assigns photographs to train, val and test: by group, stratified by grade, seeded.

A group of photographs that must stay together (see `grouping`) is a unit and goes to one split. The
split depends on the seed, the unit's name and its worst grade, not on the order of files or rows.
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
    """Position of a photograph -> its split, or why it is dropped; never both."""

    split: dict[int, str]
    dropped: dict[int, Dropped]


def make_plan(
    photographs: Sequence[Photograph], relations: Relations, fractions: Fractions, seed: int
) -> Plan:
    """The split of every photograph.

    Official splits are kept, and test stays whole; missing splits are cut from its train.
    Raises UserError for official splits without train.
    """
    official = official_splits(photographs)
    dropped = leaks_into_official(photographs, relations)
    dropped |= repeated_copies(photographs, relations, dropped)
    kept = [position for position in range(len(photographs)) if position not in dropped]
    split = {position: photographs[position].split for position in kept}
    wanted = {
        name: share
        for name, share in (("test", fractions.test), ("val", fractions.val))
        if name not in official
    }
    if wanted:
        free = {position for position in kept if split[position] in ("", "train")}
        units = [
            [position for position in unit if position in free] for unit in relations.components
        ]
        split |= deal_units(photographs, [unit for unit in units if unit], wanted, seed)
    return Plan(split, dropped)


def official_splits(photographs: Sequence[Photograph]) -> tuple[str, ...]:
    """The official splits of the source, in the order train, val, test; empty if it has none."""
    given = {photograph.split for photograph in photographs} - {""}
    if given and "train" not in given:
        raise UserError(
            f"The official splits are {', '.join(sorted(given))}: no photographs are for "
            "train. Add some, or split again with --split_column none."
        )
    return tuple(name for name in SPLITS if name in given)


def deal_units(
    photographs: Sequence[Photograph],
    units: Sequence[Sequence[int]],
    shares: dict[str, float],
    seed: int,
) -> dict[int, str]:
    """Position -> split: within each grade (the worst of a unit) about `shares` per split.

    The rest is train. A unit goes to a split if that brings its number of photographs closer to the
    target.
    """
    strata = defaultdict(list)
    for unit in units:
        strata[max(photographs[position].grade for position in unit)].append(unit)
    split: dict[int, str] = {}
    for stratum in strata.values():
        stratum.sort(key=lambda unit: _place_in_order(photographs, unit, seed))
        for name, dealt in _deal(stratum, shares).items():
            split |= {position: name for unit in dealt for position in unit}
    return split


def _place_in_order(photographs: Sequence[Photograph], unit: Sequence[int], seed: int) -> str:
    name = min(photographs[position].owner for position in unit)
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
    # A grade with few units: train gets one first, then val. Training needs both; test may lack it.
    for name in ("train", "val"):
        donor = max(dealt, key=lambda other: len(dealt[other]))
        if name in dealt and not dealt[name] and (name == "train" or len(dealt[donor]) > 1):
            smallest = min(range(len(dealt[donor])), key=lambda i: len(dealt[donor][i]))
            dealt[name].append(dealt[donor].pop(smallest))
    return dealt
