"""Clusters of copies among many pictures: searched in rounds, with no more registrations than it
takes to connect them.

Copies of copies are copies: of two pictures that a chain of copies connects nothing is left to
find out. What comes out depends neither on threads nor, if the pictures come in an order of their
own (such as that of their contents), on the order of files.
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
from dr_ovo.dataset.components import Bonds

Fit = tuple[CandidatePair, Registration]


def find_copies(
    paths: Sequence[Path],
    descriptors: Sequence[np.ndarray],
    is_copy: Callable[[Registration], bool],
) -> list[Fit]:
    """Pairs that connect all copies, by first, then second: of a cluster of m pictures m - 1.

    The first round searches all pictures. Those that saw little but one another's copies are
    searched again, with two for each cluster, until all see enough others: where nothing has more
    than a few copies there is no second round.
    """
    bonds, load = Bonds(len(paths)), image_loader(paths)
    found: list[Fit] = []
    members, asking = np.arange(len(paths)), None
    while len(members) > 1:
        some = [descriptors[n] for n in members.tolist()]
        candidates = find_candidates(some, asking, show_progress=True)
        unknown = _unconnected(candidates, members, bonds)
        pairs = align_candidates(descriptors, unknown)
        found += _connect(paths, pairs, bonds, load, is_copy)
        labels = np.array(bonds.labels())
        needs_search = crowded(candidates.nearest, labels[members])
        if not needs_search.any():
            break
        searching_clusters = labels[members[needs_search]]
        members = representatives(descriptors, labels.tolist())
        asking = np.isin(labels[members], searching_clusters)
    return sorted(found, key=lambda fit: (fit[0].first, fit[0].second))


def _unconnected(candidates: Candidates, members: np.ndarray, bonds: Bonds) -> Candidates:
    """The candidates among `members` (rising positions) as pairs of these positions, less those
    whose ends are connected already."""
    first, second = members[candidates.first], members[candidates.second]
    ends = zip(first.tolist(), second.tolist(), strict=True)
    unknown = np.array([not bonds.joined(*pair) for pair in ends], bool)
    return replace(
        candidates,
        first=first[unknown],
        second=second[unknown],
        orientation=candidates.orientation[unknown],
    )


def _connect(
    paths: Sequence[Path],
    pairs: Iterable[CandidatePair],
    bonds: Bonds,
    load: LoadImage,
    is_copy: Callable[[Registration], bool],
) -> list[Fit]:
    """Registers pairs, the likeliest first, until each is judged or has its ends connected;
    those that are copies, which join `bonds`."""
    waiting = sorted(pairs, key=lambda pair: (-pair.alignment.score, pair.first, pair.second))
    found: list[Fit] = []
    while waiting:
        wave, waiting = _next_wave(waiting, bonds)
        for pair, fit in zip(wave, register_pairs(paths, wave, load), strict=True):
            if is_copy(fit):
                bonds.join(pair.first, pair.second)
                found.append((pair, fit))
    return found


def _next_wave(
    pairs: Iterable[CandidatePair], bonds: Bonds
) -> tuple[list[CandidatePair], list[CandidatePair]]:
    """The pairs to register at once, of which none is idle even if all are copies, and those that
    wait; what is connected is in neither."""
    hoped = bonds.copy()
    wave: list[CandidatePair] = []
    waiting: list[CandidatePair] = []
    for pair in pairs:
        if not bonds.joined(pair.first, pair.second):
            (wave if hoped.join(pair.first, pair.second) else waiting).append(pair)
    # Cluster by cluster, so that each picture is decoded once for all that it is compared with.
    return sorted(wave, key=lambda one: (hoped.find(one.first), one.first, one.second)), waiting
