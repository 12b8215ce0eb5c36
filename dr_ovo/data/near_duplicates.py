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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from dr_ovo.data.damage import Damage
from dr_ovo.data.decode import DamagedImage, decode_image
from dr_ovo.data.descriptor_cache import Described, available_cores, keep_pairs, kept_pairs
from dr_ovo.data.descriptor_search import find_candidates
from dr_ovo.data.descriptors import DESCRIPTOR_VERSION, INVERSES, ORIENTATIONS, turned
from dr_ovo.data.registration import (
    REGISTRATION_SIDE,
    Placing,
    Plane,
    Registration,
    padded,
    place,
    plane_of,
    register,
    spectra,
)
from dr_ovo.errors import MachineError

VERDICT_VERSION = 1  # raised when the same pictures would get another verdict
# Measured on IDRiD (516 photographs of 512 px, each alteration on 100 of them). Altered copies
# score .82 and more (CLAHE lowest; .79 when CLAHE, JPEG, halving and a flip come together),
# different photographs up to .62, synthetic ones up to .67.
LEAST_SCORE = 0.74
# Of the descriptors: altered copies have .78 and more (.70 after darkening by 51 levels, which
# drowns what is dark), different photographs rarely .60. It only spares registrations.
LEAST_PLACING_SCORE = 0.60
# Degrees. Copies are left with at most .10. The one second photograph of an eye in IDRiD, which
# scores .97, has .80.
MOST_TURN = 0.3
# Copies have at most .028 (brightness raised by 51 levels); an eye that moved by 2 % of the disc's
# width between two photographs .042 and more, one that moved by 1 % only .024: such a pair counts
# as copies.
MOST_RIM = 0.035
# Pixels. With thresholds of .72 and .03, all altered copies among photographs shrunk to 96 px and
# more were found, and no others; at 28 px a quarter was missed and 21 wrong pairs came, since too
# little of an eye is left. So it was with RetinaMNIST: 1,232 pairs among 1,600 pictures, most of
# them of plainly different eyes.
LEAST_SIDE = 96
PLANES_KEPT = 128  # 0.7 MB each


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
class Guess:
    """A candidate: the positions of two pictures, and how the first might become the second."""

    first: int
    second: int
    orientation: int
    placing: Placing


def find_pairs(
    paths: Sequence[Path],
    described: Mapping[Path, Described | Damage],
    cache: Path | None = None,
) -> list[Pair]:
    """The pairs among `paths`, by first, then second; damaged files are in none.

    Of identical files each is paired with the first of them, and only that first one is compared
    with other pictures: `clusters` brings them together. Pictures with a side below LEAST_SIDE are
    compared for identity alone (`too_small` lists them). With a `cache` (that of `describe_files`)
    the same files in the same order are not compared again.

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
    compared = [number for number in sound if number not in copies and number not in small]
    key = _key([sound[number].sha256 for number in compared])
    known = kept_pairs(cache, key) if cache else None
    if known is None:
        descriptors = [sound[number].descriptor for number in compared]
        found = _look_alikes([paths[number] for number in compared], descriptors)
        if cache:
            keep_pairs(cache, key, json.dumps([asdict(pair) for pair in found]))
    else:
        found = [Pair(**values) for values in json.loads(known)]
    placed = [
        Pair(compared[pair.first], compared[pair.second], pair.score, pair.exact, pair.how)
        for pair in found
    ]
    return sorted(exact + placed, key=lambda pair: (pair.first, pair.second))


def too_small(paths: Sequence[Path], described: Mapping[Path, Described | Damage]) -> list[int]:
    """Positions of the pictures too small to be told apart, unless they are identical files."""
    return [
        number
        for number, path in enumerate(paths)
        if isinstance(entry := described[path], Described)
        and min(entry.width, entry.height) < LEAST_SIDE
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
    return fit.score >= LEAST_SCORE and abs(fit.turn) <= MOST_TURN and fit.rim <= MOST_RIM


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
    """What the pairs among files with these hashes are kept under."""
    text = "\n".join([f"{DESCRIPTOR_VERSION}.{VERDICT_VERSION}", *hashes])
    return hashlib.sha256(text.encode()).hexdigest()


def _look_alikes(paths: Sequence[Path], descriptors: Sequence[np.ndarray]) -> list[Pair]:
    """The pairs among different files; `first` and `second` are positions in `paths`."""
    if len(paths) < 2:
        return []
    guesses = place_candidates(np.stack(descriptors))
    fits = register_guesses(paths, guesses)
    return [
        Pair(guess.first, guess.second, round(fit.score, 4), False, _how(guess, fit))
        for guess, fit in zip(guesses, fits, strict=True)
        if is_copy(fit)
    ]


def _how(guess: Guess, fit: Registration) -> str:
    """What makes the second picture of the first, in words."""
    words = ORIENTATIONS[guess.orientation]
    return words if abs(fit.scale - 1) < 0.015 else f"{words}, scaled by {fit.scale:.2f}"


def place_candidates(descriptors: np.ndarray) -> list[Guess]:
    """The candidates among (N, D) descriptors that fit when shifted and scaled."""
    candidates = find_candidates(descriptors, show_progress=True)
    rows = zip(
        candidates.first.tolist(),
        candidates.second.tolist(),
        candidates.orientation.tolist(),
        strict=True,
    )
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row[0])]

    def placed(group: list[tuple[int, int, int]]) -> list[Guess]:
        moving = padded(descriptors[group[0][0]])
        # The first moves, as its spectra, which cost most, serve for all it is compared with.
        fixed = [turned(padded(descriptors[one]), INVERSES[how]) for _, one, how in group]
        placings = place(np.stack(fixed), moving, spectra(moving))
        return [
            Guess(*names, placing)
            for names, placing in zip(group, placings, strict=True)
            if placing.score >= LEAST_PLACING_SCORE
        ]

    with ThreadPoolExecutor(available_cores()) as pool:
        bar = tqdm(
            pool.map(placed, groups),
            total=len(groups), desc="placing look-alikes", unit="img", disable=None, leave=False,
        )  # fmt: skip
        return [guess for group in bar for guess in group]


def register_guesses(paths: Sequence[Path], guesses: Sequence[Guess]) -> list[Registration]:
    """How well the two pictures of each guess fit, at a higher resolution."""

    @lru_cache(maxsize=PLANES_KEPT)
    def plane(number: int) -> Plane:
        try:
            return plane_of(decode_image(paths[number], REGISTRATION_SIDE))
        except DamagedImage as error:
            raise MachineError(
                f"{paths[number]} {error}: it could be read before. Are the files being changed? "
                "Run the command again when they stand still."
            ) from None

    def fit(guess: Guess) -> Registration:
        fixed = plane(guess.second).turned(INVERSES[guess.orientation])
        return register(fixed, plane(guess.first), guess.placing)

    with ThreadPoolExecutor(available_cores()) as pool:
        bar = tqdm(
            pool.map(fit, guesses),
            total=len(guesses), desc="comparing look-alikes", unit="pair", disable=None,
            leave=False,
        )  # fmt: skip
        return list(bar)
