"""Candidates laid over each other: roughly by their descriptors, then exactly by their pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dr_ovo.copies.candidate_search import Candidates, Descriptors, find_candidates
from dr_ovo.copies.descriptor import INVERSES, turned
from dr_ovo.copies.registration import (
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
from dr_ovo.parallel import available_cores
from dr_ovo.photographs.image_decoding import DamagedImage, decode_bytes, read_bytes, room_for

# Of the descriptors: altered copies have .78 and more (.70 after darkening by 51 levels, which
# drowns what is dark), different photographs rarely .60. It only spares registrations.
LEAST_PLACING_SCORE = 0.60
PLANES_KEPT = 128  # 0.7 MB each
Planes = Callable[[int], Plane]


@dataclass(frozen=True)
class Guess:
    """A candidate: the positions of two pictures, and how the first might become the second."""

    first: int
    second: int
    orientation: int
    placing: Placing


def place_candidates(descriptors: Descriptors, candidates: Candidates | None = None) -> list[Guess]:
    """The candidates (by default all) among descriptors (D,) that fit when shifted and scaled."""
    if candidates is None:
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


def planes_of(paths: Sequence[Path]) -> Planes:
    """Position -> that file made ready for registration; the latest are held."""

    @lru_cache(maxsize=PLANES_KEPT)
    def plane(number: int) -> Plane:
        try:
            data = read_bytes(paths[number])
            with room_for(data, REGISTRATION_SIDE):
                return plane_of(decode_bytes(data, REGISTRATION_SIDE))
        except DamagedImage as error:
            raise MachineError(
                f"{paths[number]} {error}: it could be read before. Are the files being changed? "
                "Run the command again when they stand still."
            ) from None

    return plane


def register_guesses(
    paths: Sequence[Path], guesses: Sequence[Guess], planes: Planes | None = None
) -> list[Registration]:
    """How well the two pictures of each guess fit, at a higher resolution."""
    plane = planes or planes_of(paths)

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
