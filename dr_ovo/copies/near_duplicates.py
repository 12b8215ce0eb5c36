"""Pairs of files that show one and the same photograph: exact copies and altered ones.

Found: copies resized, recompressed, flipped, turned by right angles, with other brightness,
contrast or CLAHE, and cropped by up to 5 % a side. Not copies: the two eyes of a patient, and two
photographs of one eye. Not found: copies turned by other angles, or stretched out of shape.

`python benchmarks/near_duplicates.py --images FOLDER` measures all that on other photographs.
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
from dr_ovo.copies.descriptor_cache import Described, keep_pairs, kept_pairs
from dr_ovo.copies.registration import Registration
from dr_ovo.photographs.damage import Damage

VERDICT_VERSION = 2  # raised when the same pictures would get another verdict
# Measured on IDRiD (516 photographs of 512 px, each alteration on 100 of them). Altered copies
# score .82 and more (CLAHE lowest; .79 when CLAHE, JPEG, halving and a flip come together),
# different photographs up to .62, synthetic ones up to .67.
MIN_SCORE = 0.74
# Degrees. Copies are left with at most .10. The one second photograph of an eye in IDRiD, which
# scores .97, has .80.
MAX_TURN = 0.3
# Copies have at most .028 (brightness raised by 51 levels); an eye that moved by 2 % of the disc's
# width between two photographs .042 and more, one that moved by 1 % only .024: such a pair counts
# as copies.
MAX_RIM = 0.035
# Pixels. With thresholds of .72 and .03, all altered copies among photographs shrunk to 96 px and
# more were found, and no others; at 28 px a quarter was missed and 21 wrong pairs came, since too
# little of an eye is left. So it was with RetinaMNIST: 1,232 pairs among 1,600 pictures, most of
# them of plainly different eyes.
MIN_SIDE = 96


@dataclass(frozen=True)
class Pair:
    """The positions `first` < `second` of two files that show one photograph.

    `score` is 1 for identical files, else the correlation of the registered pictures; `how` says
    what makes the second of the first: "identical", or the orientation and scale.
    """

    first: int
    second: int
    score: float
    exact: bool
    how: str


@dataclass(frozen=True)
class _Likeness:
    """What makes the picture at `second` of that at `first`: an orientation, then a scale."""

    first: int
    second: int
    score: float
    orientation: int
    scale: float

    def as_pair(self, positions: Sequence[int]) -> Pair:
        """The pair of the two in a list where they stand at `positions`."""
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
    """Pairs among `paths` that connect all copies, by first, then second; damaged files are in
    none. `clusters` brings them together: of m copies m - 1 pairs are found.

    Of identical files each is paired with the first of them, and one of them is compared with other
    pictures. Pictures with a side below MIN_SIDE are compared for identity alone (`too_small`
    lists them). With a `cache` (that of `describe_files`) the same files, in whatever order, are
    not compared again. The order of `paths` changes no cluster.

    Raises MachineError for a file that can't be read any more.
    """
    sound = {
        number: entry
        for number, path in enumerate(paths)
        if isinstance(entry := described[path], Described)
    }
    exact = _identical(sound)
    copies = {pair.second for pair in exact}
    small = set(too_small(paths, described))
    # By content, so that neither the files' names nor their order change what is found.
    compared = sorted(
        (number for number in sound if number not in copies and number not in small),
        key=lambda number: sound[number].sha256,
    )
    key = _key([sound[number].sha256 for number in compared])
    kept = kept_pairs(cache, key) if cache else None
    if kept is None:
        descriptors = [sound[number].descriptor for number in compared]
        found = _look_alikes([paths[number] for number in compared], descriptors)
        if cache:
            keep_pairs(cache, key, json.dumps([asdict(one) for one in found]))
    else:
        found = [_Likeness(**values) for values in json.loads(kept)]
    placed = [one.as_pair(compared) for one in found]
    return sorted(exact + placed, key=lambda pair: (pair.first, pair.second))


def too_small(paths: Sequence[Path], described: Mapping[Path, Described | Damage]) -> list[int]:
    """Positions of the pictures too small to be told apart, unless they are identical files."""
    return [
        number
        for number, path in enumerate(paths)
        if isinstance(entry := described[path], Described)
        and min(entry.width, entry.height) < MIN_SIDE
    ]


def clusters(pairs: Iterable[Pair], count: int) -> list[list[int]]:
    """The groups of two and more among `count` files that pairs connect, each in rising order,
    ordered by their first members."""
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


def _identical(sound: Mapping[int, Described]) -> list[Pair]:
    """Each file that repeats an earlier one, with the first of its kind."""
    firsts: dict[str, int] = {}
    pairs = []
    for number, entry in sound.items():
        first = firsts.setdefault(entry.sha256, number)
        if first != number:
            pairs.append(Pair(first, number, 1.0, True, "identical"))
    return pairs


def _key(hashes: Sequence[str]) -> str:
    """What the pairs among files with these hashes, in rising order, are kept under."""
    text = "\n".join([f"{DESCRIPTOR_VERSION}.{VERDICT_VERSION}", *hashes])
    return hashlib.sha256(text.encode()).hexdigest()


def _look_alikes(paths: Sequence[Path], descriptors: Sequence[np.ndarray]) -> list[_Likeness]:
    """What connects the copies among different files, which stand in an order of their own."""
    return [
        _Likeness(guess.first, guess.second, round(fit.score, 4), guess.orientation, fit.scale)
        for guess, fit in find_copies(paths, descriptors, is_copy)
    ]
