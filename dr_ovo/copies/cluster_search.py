"""Finds the clusters of copies among many pictures, in rounds, with few registrations.

A copy of a copy is a copy: two pictures that a chain of copies connects need no comparison. The
result depends neither on the number of threads nor, if the caller sorts the pictures (for example
by content), on the order of the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dr_ovo.copies.candidate_registration import (
    CandidatePair,
    LoadImage,
    align_candidates,
    image_loader,
    register_pairs,
)
from dr_ovo.copies.candidate_search import Candidates, find_candidates
from dr_ovo.copies.registration import Registration
from dr_ovo.copies.representatives import crowded, representatives
from dr_ovo.dataset.union_find import UnionFind

Fit = tuple[CandidatePair, Registration]


def find_copies(
    paths: Sequence[Path],
    descriptors: Sequence[np.ndarray],
    is_copy: Callable[[Registration], bool],
) -> list[Fit]:
    """Pairs that connect all copies, by first, then second: m - 1 for a cluster of m pictures.

    The first round searches all pictures. Pictures whose nearest neighbours are mostly copies of
    one another are searched again, with two representatives per cluster, until all have enough
    other neighbours. If no picture has more than a few copies there is no second round.
    """
    with image_loader(paths) as load:
        return _search(descriptors, load, is_copy)


def _search(
    descriptors: Sequence[np.ndarray], load: LoadImage, is_copy: Callable[[Registration], bool]
) -> list[Fit]:
    """The same; `load` gives the pictures of the descriptors."""
    clusters = UnionFind(len(descriptors))
    found: list[Fit] = []
    members, wanted = np.arange(len(descriptors)), None
    while len(members) > 1:
        some = [descriptors[n] for n in members.tolist()]
        candidates = find_candidates(some, wanted, show_progress=True)
        unknown = _unconnected(candidates, members, clusters)
        pairs = align_candidates(descriptors, unknown)
        found += _connect(pairs, clusters, load, is_copy)
        labels = np.array(clusters.labels())
        needs_search = crowded(candidates.nearest, labels[members])
        if not needs_search.any():
            break
        searching_clusters = labels[members[needs_search]]
        members = representatives(descriptors, labels.tolist())
        wanted = np.isin(labels[members], searching_clusters)
    return sorted(found, key=lambda fit: (fit[0].first, fit[0].second))


def _unconnected(candidates: Candidates, members: np.ndarray, clusters: UnionFind) -> Candidates:
    """The candidates among `members` (ascending positions) as pairs of those positions, without
    the ones that are already connected."""
    first, second = members[candidates.first], members[candidates.second]
    ends = zip(first.tolist(), second.tolist(), strict=True)
    unknown = np.array([not clusters.joined(*pair) for pair in ends], bool)
    return replace(
        candidates,
        first=first[unknown],
        second=second[unknown],
        orientation=candidates.orientation[unknown],
    )


def _connect(
    pairs: Iterable[CandidatePair],
    clusters: UnionFind,
    load: LoadImage,
    is_copy: Callable[[Registration], bool],
) -> list[Fit]:
    """The pairs that are copies; they are joined in `clusters`.

    Registers the most likely pairs first and skips pairs that are connected by then.
    """
    waiting = sorted(pairs, key=lambda pair: (-pair.alignment.score, pair.first, pair.second))
    found: list[Fit] = []
    while waiting:
        wave, waiting = _next_wave(waiting, clusters)
        for pair, fit in zip(wave, register_pairs(wave, load), strict=True):
            if is_copy(fit):
                clusters.join(pair.first, pair.second)
                found.append((pair, fit))
    return found


def _next_wave(
    pairs: Iterable[CandidatePair], clusters: UnionFind
) -> tuple[list[CandidatePair], list[CandidatePair]]:
    """The pairs to register at once, and those that wait; connected pairs are in neither.

    None of the first would be superfluous even if all of them were copies.
    """
    if_all_copies = clusters.copy()
    wave: list[CandidatePair] = []
    waiting: list[CandidatePair] = []
    for pair in pairs:
        if not clusters.joined(pair.first, pair.second):
            joins = if_all_copies.join(pair.first, pair.second)
            (wave if joins else waiting).append(pair)
    # Cluster by cluster, so that each picture is decoded once for all its comparisons.
    wave.sort(key=lambda pair: (if_all_copies.find(pair.first), pair.first, pair.second))
    return wave, waiting
