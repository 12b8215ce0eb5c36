"""Finds the nearest neighbours of each descriptor in all eight orientations; no approximation.

Blocked matrix products at half the descriptors' resolution: 100,000 descriptors make 10^10 pairs in
eight orientations, and each product here serves both pictures of its pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from dr_ovo.copies.descriptor import DESCRIPTOR_SIDE, ORIENTATIONS, turned

COARSE_SIDE = DESCRIPTOR_SIDE // 2
NEAREST = 10  # candidates per picture
# Correlation at half resolution. On 516 fundus photographs of IDRiD, altered copies had .63 and
# more (.45 after crops by 8 % at two sides); the 16 nearest of each photograph have .6 to .8.
MIN_CORRELATION = 0.4
BLOCK = 1024
Descriptors = Sequence[np.ndarray] | np.ndarray  # N of (D,)


@dataclass(frozen=True)
class Candidates:
    """K pairs of pictures that may be copies, ordered by first, then second.

    `first` < `second` are positions, each (K,) int64; `orientation` (K,) is the one in which the
    first resembles the second. `nearest` (N, NEAREST) are the positions most similar to each of the
    N pictures, -1 where there are fewer.
    """

    first: np.ndarray
    second: np.ndarray
    orientation: np.ndarray
    nearest: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def find_candidates(
    descriptors: Descriptors,
    wanted: np.ndarray | None = None,
    *,
    show_progress: bool = False,
) -> Candidates:
    """The pairs among N descriptors (D,) that correlate by MIN_CORRELATION or more, and of which
    one is among the NEAREST of the other.

    `wanted` (N,) bool (None: all) selects the pictures whose nearest are searched, which is faster
    if they are few; the others get none.
    """
    base = coarse(descriptors)
    number = len(base)
    wanted = np.ones(number, bool) if wanted is None else wanted
    scores = np.full((number, NEAREST), MIN_CORRELATION, np.float32)
    partners = np.full((number, NEAREST), -1, np.int64)
    starts = range(0, number, BLOCK)
    hidden = None if show_progress else True
    for top in tqdm(starts, desc="searching for copies", unit="block", disable=hidden, leave=False):
        rows = slice(top, min(top + BLOCK, number))
        queries = [in_orientation(base[rows], k) for k in range(len(ORIENTATIONS))]
        for left in range(top, number, BLOCK):
            columns = slice(left, min(left + BLOCK, number))
            if not (wanted[rows].any() or wanted[columns].any()):
                continue
            best = queries[0] @ base[columns].T
            for query in queries[1:]:
                np.maximum(best, query @ base[columns].T, out=best)
            if left == top:
                best[np.tril_indices(len(best))] = -1
            _keep_nearest(scores[rows], partners[rows], best, left)
            _keep_nearest(scores[columns], partners[columns], best.T, top)
    partners[~wanted] = -1
    return _as_candidates(base, partners)


def _keep_nearest(scores: np.ndarray, partners: np.ndarray, found: np.ndarray, offset: int) -> None:
    """Merges the scores `found` (R, M), of the M pictures from position `offset` on, into the
    nearest (R, NEAREST) of R pictures, in place; the lowest score is last."""
    rows = np.flatnonzero((found > scores[:, -1:]).any(axis=1))
    if not len(rows):
        return
    chosen = found[rows]
    count = min(NEAREST, chosen.shape[1])
    at = np.argpartition(-chosen, count - 1, axis=1)[:, :count]
    merged = np.hstack([scores[rows], np.take_along_axis(chosen, at, axis=1)])
    positions = np.hstack([partners[rows], at + offset])
    order = np.argsort(-merged, axis=1, kind="stable")[:, :NEAREST]
    scores[rows] = np.take_along_axis(merged, order, axis=1)
    partners[rows] = np.take_along_axis(positions, order, axis=1)


def _as_candidates(base: np.ndarray, partners: np.ndarray) -> Candidates:
    """The pairs of (N, NEAREST) `partners` (-1: none), each once, with their orientation."""
    own = np.repeat(np.arange(len(base)), NEAREST)
    both = np.stack([own, partners.ravel()], axis=1)
    pairs = np.unique(np.sort(both[both[:, 1] >= 0], axis=1), axis=0)
    orientation = np.zeros(len(pairs), np.int64)
    for begin in range(0, len(pairs), 4 * BLOCK):
        first, second = pairs[begin : begin + 4 * BLOCK].T
        scores = [
            np.einsum("nd,nd->n", in_orientation(base[first], k), base[second])
            for k in range(len(ORIENTATIONS))
        ]
        orientation[begin : begin + 4 * BLOCK] = np.argmax(scores, axis=0)
    return Candidates(pairs[:, 0], pairs[:, 1], orientation, partners)


def _inside() -> np.ndarray:
    """(COARSE_SIDE²,) bool: the disc inside the square; the corners are empty in most pictures."""
    line = np.arange(COARSE_SIDE) - (COARSE_SIDE - 1) / 2
    return (np.hypot(line[:, None], line) <= COARSE_SIDE / 2).ravel()


def coarse(descriptors: Descriptors) -> np.ndarray:
    """(N, d) float32 of norm 1 (or 0): the descriptors at half resolution, inside the disc."""
    inside = _inside()
    small = np.empty((len(descriptors), int(inside.sum())), np.float32)
    for begin in range(0, len(descriptors), BLOCK):
        # In blocks: the separate arrays of 100,000 pictures are never copied into one.
        block = np.asarray(descriptors[begin : begin + BLOCK], np.float32)
        squares = block.reshape(len(block), COARSE_SIDE, 2, COARSE_SIDE, 2).mean(axis=(2, 4))
        small[begin : begin + BLOCK] = squares.reshape(len(block), -1)[:, inside]
    norms = np.linalg.norm(small, axis=1, keepdims=True)
    small /= np.where(norms > 0, norms, 1)
    return small


def in_orientation(small: np.ndarray, orientation: int) -> np.ndarray:
    """(n, d) coarse descriptors in another orientation."""
    inside = _inside()
    number = np.full(inside.size, -1)
    number[inside] = np.arange(int(inside.sum()))
    order = turned(number.reshape(COARSE_SIDE, COARSE_SIDE), orientation).ravel()[inside]
    return small[:, order]
