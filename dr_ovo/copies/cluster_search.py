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
    Guess,
    Planes,
    place_candidates,
    planes_of,
    register_guesses,
)
from dr_ovo.copies.candidate_search import Candidates, find_candidates
from dr_ovo.copies.registration import Registration
from dr_ovo.copies.representatives import crowded, representatives
from dr_ovo.dataset.components import Bonds

Fit = tuple[Guess, Registration]


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
    bonds, planes = Bonds(len(paths)), planes_of(paths)
    found: list[Fit] = []
    members, asking = np.arange(len(paths)), None
    while len(members) > 1:
        some = [descriptors[n] for n in members.tolist()]
        candidates = find_candidates(some, asking, show_progress=True)
        unknown = _unconnected(candidates, members, bonds)
        guesses = place_candidates(descriptors, unknown)
        found += _connect(paths, guesses, bonds, planes, is_copy)
        labels = np.array(bonds.labels())
        hungry = crowded(candidates.nearest, labels[members])
        if not hungry.any():
            break
        hungry_clusters = labels[members[hungry]]
        members = representatives(descriptors, labels.tolist())
        asking = np.isin(labels[members], hungry_clusters)
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
    guesses: Iterable[Guess],
    bonds: Bonds,
    planes: Planes,
    is_copy: Callable[[Registration], bool],
) -> list[Fit]:
    """Registers guesses, the likeliest first, until each is judged or has its ends connected;
    those that are copies, which join `bonds`."""
    waiting = sorted(guesses, key=lambda one: (-one.placing.score, one.first, one.second))
    found: list[Fit] = []
    while waiting:
        wave, waiting = _next_wave(waiting, bonds)
        for guess, fit in zip(wave, register_guesses(paths, wave, planes), strict=True):
            if is_copy(fit):
                bonds.join(guess.first, guess.second)
                found.append((guess, fit))
    return found


def _next_wave(guesses: Iterable[Guess], bonds: Bonds) -> tuple[list[Guess], list[Guess]]:
    """The guesses to register at once, of which none is idle even if all are copies, and those that
    wait; what is connected is in neither."""
    hoped = bonds.copy()
    wave: list[Guess] = []
    waiting: list[Guess] = []
    for guess in guesses:
        if not bonds.joined(guess.first, guess.second):
            (wave if hoped.join(guess.first, guess.second) else waiting).append(guess)
    # Cluster by cluster, so that each picture is decoded once for all that it is compared with.
    return sorted(wave, key=lambda one: (hoped.find(one.first), one.first, one.second)), waiting
