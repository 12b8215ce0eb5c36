"""Who does what in a run of several ranks: shares of a step, whole batches, branches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def share(count: int, rank: int, ranks: int) -> slice:
    """The rows of `count` that are a rank's; sizes differ by one at most, some may be empty."""
    return slice(rank * count // ranks, (rank + 1) * count // ranks)


def window_shares(images: int, window: int, rank: int, ranks: int) -> np.ndarray:
    """(n,) the places, in an epoch's order of so many images, of a rank's share of each window."""
    parts = []
    for start in range(0, images, window):
        own = share(min(window, images - start), rank, ranks)
        parts.append(np.arange(start + own.start, start + own.stop))
    return np.concatenate([*parts, np.zeros(0, dtype=np.int64)]).astype(np.int64)


def batch_shares(count: int, batch_size: int, rank: int, ranks: int) -> list[slice]:
    """The batches of `count` images that are a rank's: whole ones, by turns, so that each has the
    images that it has in a single process."""
    starts = range(0, count, batch_size)
    return [slice(start, min(count, start + batch_size)) for start in starts[rank::ranks]]


def deal_branches(images: Mapping[str, int], ranks: int) -> list[list[str]]:
    """The branches of each rank: the one with most `images` first, to the rank that has fewest
    (Graham 1969, longest processing time). In the order of `images`."""
    loads = [0] * ranks
    owner = {}
    for name in sorted(images, key=lambda name: -images[name]):
        owner[name] = loads.index(min(loads))
        loads[owner[name]] += images[name]
    return [[name for name in images if owner[name] == rank] for rank in range(ranks)]
