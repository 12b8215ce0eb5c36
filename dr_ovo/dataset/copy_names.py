"""Copies that their file names give away: `10_left_aug3`, `eye (1)`, `Copy of eye`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from dr_ovo.dataset.components import Bonds

_WORDS = (
    "aug|augment|augmented|augmentation|copy|copied|dup|duplicate|flip|flipped|hflip|vflip|fliplr|"
    "flipud|mirror|mirrored|rot|rotate|rotated|rotation|bright|brightness|contrast|gamma|noise|"
    "noisy|blur|blurred|zoom|zoomed|shear|shift|clahe|smote|oversampled|synthetic"
)
_SUFFIX = re.compile(
    rf"^(?P<base>.+?)(?:[ _.-]+(?:{_WORDS})[ _.-]*\d*(?:deg)?)+(?:[ _.-]+\d+)?$", re.IGNORECASE
)
_PREFIX = re.compile(
    rf"^(?:(?:{_WORDS})\d*[ _.-]+(?:of[ _.-]+|\d+[ _.-]+)?)+(?P<base>.+)$", re.IGNORECASE
)
_BRACKET = re.compile(r"^(?P<base>.+?) ?\(\d+\)$")
MIN_CHARACTERS = 3
# One picture may stand once in each split; a name that more files bear is no picture's own.
MAX_BEARERS = 3
MAX_NUMBERED = 20  # `eye (1)`, `eye (2)` ...: of more than these, a series of different pictures


@dataclass(frozen=True)
class Family:
    """A picture and the files named as copies of it: positions, ascending.

    `base` is the picture's name, `originals` the members that bear it. `sure`: they are copies,
    as the name is the picture's own, or as two of them look alike. Others may be anything:
    `flip_7` is often the seventh flipped picture, not the one flipped from `7`.
    """

    base: str
    members: tuple[int, ...]
    originals: tuple[int, ...]
    sure: bool


def original_of(stem: str) -> str | None:
    """The name of the picture that a copy was made from, or None for a name that tells of none."""
    for pattern in (_SUFFIX, _PREFIX):
        if match := pattern.match(stem):
            return original_of(match["base"]) or match["base"]
    return None


def families(files: Sequence[str], alike: Iterable[tuple[int, int]]) -> list[Family]:
    """The pictures of which copies are named among `files` (N,), paths with forward slashes.

    `alike` are pairs of positions, which connect what looks alike. A copy whose picture is not
    there is a family too. `eye (1)` counts only where `eye` itself is there: whole sets are
    numbered in brackets.
    """
    stems = [PurePosixPath(file).stem for file in files]
    bearers: dict[str, list[int]] = defaultdict(list)
    for position, stem in enumerate(stems):
        bearers[stem].append(position)
    copies: dict[str, list[int]] = defaultdict(list)
    for position, stem in enumerate(stems):
        if base := _base_of(stem, bearers.keys()):
            copies[base].append(position)
    bonds = Bonds(len(files))
    for one, other in alike:
        bonds.join(one, other)
    found = []
    for base, named in copies.items():
        originals = bearers.get(base, [])
        members = {*named, *originals}
        sure = not _is_series(stems[one] for one in named) and (
            _is_telling(base, len(originals))
            or len({bonds.find(one) for one in members}) < len(members)
        )
        found.append(Family(base, tuple(sorted(members)), tuple(originals), sure))
    return found


def _is_telling(base: str, bearers: int) -> bool:
    """Whether a name is so much one picture's own that its copies are known by name alone."""
    own = len(base) >= MIN_CHARACTERS and any(map(str.isalpha, base))
    return own and bearers <= MAX_BEARERS


def _is_series(stems: Iterable[str]) -> bool:
    return sum(1 for stem in stems if _BRACKET.match(stem)) > MAX_NUMBERED


def _base_of(stem: str, there: Container[str]) -> str | None:
    match = _BRACKET.match(stem)
    bracket = match["base"] if match else None
    return original_of(bracket or stem) or (bracket if bracket in there else None)
