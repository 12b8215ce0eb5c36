"""Finds the photographs that two sets share: identical files, and altered copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.copies.descriptor_cache import Described
from dr_ovo.copies.near_duplicates import Pair, clusters, find_pairs
from dr_ovo.photographs.damage import Damage


@dataclass(frozen=True)
class SharedPicture:
    """A photograph that both sets have: its positions in `ours` and in `theirs`, ascending.

    `score` is the lowest correlation between its copies, `how` says how they differ.
    """

    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    score: float
    how: str


def shared_pictures(
    ours: Sequence[Path],
    theirs: Sequence[Path],
    described: Mapping[Path, Described | Damage],
    cache: Path | None = None,
) -> list[SharedPicture]:
    """The photographs that two lists of `described` files share, by their first place in `ours`.

    Copies of copies count: one that is found only beside another of its own set is in it too. For
    what counts as a copy, damaged and small files and the `cache`, see `find_pairs`.
    """
    pairs = find_pairs([*ours, *theirs], described, cache)
    groups = clusters(pairs, len(ours) + len(theirs))
    group_of = {member: number for number, group in enumerate(groups) for member in group}
    links: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs:
        links[group_of[pair.first]].append(pair)
    shared = []
    for number, group in enumerate(groups):
        mine = tuple(member for member in group if member < len(ours))
        other = tuple(member - len(ours) for member in group if member >= len(ours))
        if mine and other:
            score = min(pair.score for pair in links[number])
            shared.append(SharedPicture(mine, other, score, _how(links[number])))
    return shared


def _how(pairs: Sequence[Pair]) -> str:
    altered = sorted({pair.how for pair in pairs if not pair.exact})
    return "; ".join(altered[:3]) or "the same content"
