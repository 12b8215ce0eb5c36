"""Aligns candidate pairs: coarsely by their descriptors, then exactly by their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np

from dr_ovo.copies.candidate_search import Candidates, Descriptors, find_candidates
from dr_ovo.copies.descriptor import INVERSES, turned
from dr_ovo.copies.registration import (
    REGISTRATION_SIDE,
    CoarseAlignment,
    Registration,
    RegistrationImage,
    coarse_alignments,
    padded,
    register,
    registration_image,
    spectra,
)
from dr_ovo.decoded.processes.decoder import CRASHED
from dr_ovo.decoded.processes.file_workers import open_workers
from dr_ovo.decoded.processes.process import errors_are_damage
from dr_ovo.errors import MachineError
from dr_ovo.parallel import each_in_parallel
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import decode_bytes, read_bytes, room_for

# Of the descriptors. Altered copies have .78 and more (.70 after darkening by 51 levels, which
# clips dark detail), different photographs rarely .60. It serves only to save registrations.
MIN_ALIGNMENT_SCORE = 0.60
IMAGES_KEPT = 128  # in memory, 0.7 MB each
LoadImage = Callable[[int], RegistrationImage]


@dataclass(frozen=True)
class CandidatePair:
    """The positions of two pictures, and the orientation and alignment that may relate them."""

    first: int
    second: int
    orientation: int
    alignment: CoarseAlignment


def align_candidates(
    descriptors: Descriptors, candidates: Candidates | None = None
) -> list[CandidatePair]:
    """The candidates among the descriptors that fit after shifting and scaling (by default all)."""
    if candidates is None:
        candidates = find_candidates(descriptors, show_progress=True)
    rows = zip(
        candidates.first.tolist(),
        candidates.second.tolist(),
        candidates.orientation.tolist(),
        strict=True,
    )
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row[0])]

    def aligned(group: list[tuple[int, int, int]]) -> list[CandidatePair]:
        moving = padded(descriptors[group[0][0]])
        # The first is the one moved: its spectra, which cost most, then serve for all comparisons.
        fixed = [
            turned(padded(descriptors[second]), INVERSES[orientation])
            for _, second, orientation in group
        ]
        alignments = coarse_alignments(np.stack(fixed), moving, spectra(moving))
        return [
            CandidatePair(*row, alignment)
            for row, alignment in zip(group, alignments, strict=True)
            if alignment.score >= MIN_ALIGNMENT_SCORE
        ]

    found = each_in_parallel(aligned, groups, "aligning look-alikes")
    return [pair for group in found for pair in group]


@contextmanager
def image_loader(paths: Sequence[Path]) -> Iterator[LoadImage]:
    """A function from position to that file, ready for registration; recent ones are cached.

    It raises MachineError for a file that can't be decoded.
    """
    with open_workers() as workers:

        @lru_cache(maxsize=IMAGES_KEPT)
        def load(number: int) -> RegistrationImage:
            found = workers.do(_decoded, paths[number])
            if isinstance(found, RegistrationImage):
                return found
            raise MachineError(
                f"{paths[number]} {found or CRASHED}, though it could be read before. Are files "
                "being changed? Run the command again when they no longer change."
            )

        yield load


def _decoded(path: Path) -> RegistrationImage | str:
    """A file, ready for registration, or its damage."""
    try:
        data = read_bytes(path)
        with errors_are_damage(), room_for(data, REGISTRATION_SIDE):
            return registration_image(decode_bytes(data, REGISTRATION_SIDE))
    except DamagedImage as error:
        return str(error)


def register_pairs(pairs: Sequence[CandidatePair], load: LoadImage) -> list[Registration]:
    """The registration of the two pictures of each pair, at a higher resolution."""

    def fit(pair: CandidatePair) -> Registration:
        fixed = load(pair.second).turned(INVERSES[pair.orientation])
        return register(fixed, load(pair.first), pair.alignment)

    return list(each_in_parallel(fit, pairs, "comparing look-alikes", unit="pair"))
