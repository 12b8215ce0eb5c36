"""Finds exact copies and near-duplicates; has the thresholds of score, rotation, rim and size.

Found: copies resized, recompressed, flipped, turned by right angles, with changed brightness,
contrast or CLAHE, and cropped by up to 5 % per side. Not counted as copies: the two eyes of a
patient, and two photographs of one eye. Not found: copies turned by other angles, or distorted.

`python benchmarks/near_duplicates.py --images FOLDER` measures this on other photographs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dr_ovo.copies.cluster_search import find_copies
from dr_ovo.copies.descriptor import DESCRIPTOR_VERSION, INVERSES, ORIENTATIONS
from dr_ovo.copies.descriptor_cache import Described, load_pairs, save_pairs
from dr_ovo.copies.registration import Registration
from dr_ovo.photographs.damage import Damage

VERDICT_VERSION = 2  # increase when the same pictures would get another verdict
# Measured on IDRiD (516 photographs of 512 px, each alteration on 100 of them). Altered copies
# score .82 and more (CLAHE lowest; .79 when CLAHE, JPEG, halving and a flip come together),
# different photographs up to .62, synthetic ones up to .67.
MIN_SCORE = 0.74
# Degrees of rotation left after registration. Copies have at most .10. The one second photograph of
# an eye in IDRiD, which scores .97, has .80.
MAX_TURN = 0.3
# Copies have at most .028 (brightness raised by 51 levels). Two photographs between which the eye
# moved by 2 % of the disc's width have .042 and more; after a move of 1 % it is only .024, and such
# a pair counts as copies.
MAX_RIM = 0.035
# Pixels. With thresholds of .72 and .03, all altered copies among photographs shrunk to 96 px and
# more were found, and no others. At 28 px too little of an eye is left: a quarter was missed, and
# 21 pairs were wrong. The same with RetinaMNIST (28 px): 1,232 pairs among 1,600 pictures, most of
# them of plainly different eyes.
MIN_SIDE = 96


@dataclass(frozen=True)
class Pair:
    """The positions `first` < `second` of two files that show one photograph.

    `score` is 1 for identical files, else the correlation of the registered pictures; `how` is
    "identical", or the orientation and scale that turn the first into the second.
    """

    first: int
    second: int
    score: float
    exact: bool
    how: str


@dataclass(frozen=True)
class _FoundPair:
    """Two copies as the cache stores them: `orientation`, then `scale`, turn first into second."""

    first: int
    second: int
    score: float
    orientation: int
    scale: float

    def as_pair(self, positions: Sequence[int]) -> Pair:
        """The same pair with the `positions` that the pictures have in the caller's list."""
        first, second = positions[self.first], positions[self.second]
        orientation, scale = self.orientation, self.scale
        if first > second:
            first, second = second, first
            orientation, scale = INVERSES[orientation], 1 / scale
        words = ORIENTATIONS[orientation]
        how = words if abs(scale - 1) < 0.015 else f"{words}, scaled by {scale:.2f}"
        return Pair(first, second, self.score, False, how)


def find_pairs(
    paths: Sequence[Path],
    described: Mapping[Path, Described | Damage],
    cache: Path | None = None,
) -> list[Pair]:
    """Pairs among `paths` that connect all copies, by first, then second; none with damaged files.

    m copies of a picture give m - 1 pairs; `clusters` combines them. Identical files are paired
    with the first of them, and only one of them is compared with other pictures. Pictures with a
    side below MIN_SIDE are compared for identity only (`too_small` lists them). With a `cache` (the
    one of `describe_files`) the same files, in any order, are not compared again. The order of
    `paths` does not affect the clusters.

    Raises MachineError for a file that can't be read any more.
    """
    readable = {
        number: entry
        for number, path in enumerate(paths)
        if isinstance(entry := described[path], Described)
    }
    exact = _identical(readable)
    copies = {pair.second for pair in exact}
    small = set(too_small(paths, described))
    # By content, so that neither the names nor the order of the files affect the result.
    compared = sorted(
        (number for number in readable if number not in copies and number not in small),
        key=lambda number: readable[number].sha256,
    )
    key = _key([readable[number].sha256 for number in compared])
    stored = load_pairs(cache, key) if cache else None
    if stored is None:
        descriptors = [readable[number].descriptor for number in compared]
        found = _look_alikes([paths[number] for number in compared], descriptors)
        if cache:
            save_pairs(cache, key, json.dumps([asdict(pair) for pair in found]))
    else:
        found = [_FoundPair(**values) for values in json.loads(stored)]
    altered = [pair.as_pair(compared) for pair in found]
    return sorted(exact + altered, key=lambda pair: (pair.first, pair.second))


def too_small(paths: Sequence[Path], described: Mapping[Path, Described | Damage]) -> list[int]:
    """Positions of the pictures that are too small to be compared except for identity."""
    return [
        number
        for number, path in enumerate(paths)
        if isinstance(entry := described[path], Described)
        and min(entry.width, entry.height) < MIN_SIDE
    ]


def clusters(pairs: Iterable[Pair], count: int) -> list[list[int]]:
    """The groups of two or more among `count` files that the pairs connect, each ascending, ordered
    by first member."""
    ends = np.array([(pair.first, pair.second) for pair in pairs], dtype=np.int64).reshape(-1, 2)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, labels = connected_components(links, directed=False)
    groups: dict[int, list[int]] = {}
    for number in sorted(set(ends.ravel().tolist())):
        groups.setdefault(int(labels[number]), []).append(number)
    return sorted(groups.values())


def is_copy(fit: Registration) -> bool:
    """Whether two registered photographs are one picture."""
    return fit.score >= MIN_SCORE and abs(fit.turn) <= MAX_TURN and fit.rim <= MAX_RIM


def _identical(readable: Mapping[int, Described]) -> list[Pair]:
    """Each file with the content of an earlier one, paired with the first of that content."""
    firsts: dict[str, int] = {}
    pairs = []
    for number, entry in readable.items():
        first = firsts.setdefault(entry.sha256, number)
        if first != number:
            pairs.append(Pair(first, number, 1.0, True, "identical"))
    return pairs


def _key(hashes: Sequence[str]) -> str:
    """The cache key of the pairs among files with these hashes, sorted."""
    text = "\n".join([f"{DESCRIPTOR_VERSION}.{VERDICT_VERSION}", *hashes])
    return hashlib.sha256(text.encode()).hexdigest()


def _look_alikes(paths: Sequence[Path], descriptors: Sequence[np.ndarray]) -> list[_FoundPair]:
    """Pairs that connect the copies among files of different content, which the caller sorted."""
    return [
        _FoundPair(pair.first, pair.second, round(fit.score, 4), pair.orientation, fit.scale)
        for pair, fit in find_copies(paths, descriptors, is_copy)
    ]
