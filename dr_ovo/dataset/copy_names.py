"""Recognises copies by words and patterns in file names: `10_left_aug3`, `eye (1)`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from dr_ovo.dataset.union_find import UnionFind

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
# A picture may be once in each split; a name that more files share does not identify a picture.
MAX_SAME_NAME = 3
MAX_NUMBERED = 20  # more than this many `eye (1)`, `eye (2)` ...: a series of different pictures


@dataclass(frozen=True)
class Family:
    """A picture and the files named as copies of it: positions, ascending.

    `base` is the picture's name, `originals` the members with that name. `sure`: they are copies,
    because the name identifies the picture or because two of the members look alike. Otherwise
    the names prove nothing: `flip_7` is often the seventh flipped picture, not a flipped `7`.
    """

    base: str
    members: tuple[int, ...]
    originals: tuple[int, ...]
    sure: bool


def original_of(stem: str) -> str | None:
    """The name of the picture that a copy was made from; None if the name is not a copy's."""
    for pattern in (_SUFFIX, _PREFIX):
        if match := pattern.match(stem):
            return original_of(match["base"]) or match["base"]
    return None


def families(files: Sequence[str], alike: Iterable[tuple[int, int]]) -> list[Family]:
    """The pictures with copies, by name, among `files` (N,), paths with forward slashes.

    `alike` are pairs of positions that connect look-alikes. A copy whose picture is absent is a
    family too. `eye (1)` counts only if `eye` itself is present, because some sets number all
    their pictures in brackets.
    """
    stems = [PurePosixPath(file).stem for file in files]
    by_stem: dict[str, list[int]] = defaultdict(list)
    for position, stem in enumerate(stems):
        by_stem[stem].append(position)
    copies: dict[str, list[int]] = defaultdict(list)
    for position, stem in enumerate(stems):
        if base := _base_of(stem, by_stem.keys()):
            copies[base].append(position)
    groups = UnionFind(len(files))
    for one, other in alike:
        groups.join(one, other)
    found = []
    for base, named in copies.items():
        originals = by_stem.get(base, [])
        members = {*named, *originals}
        sure = not _is_series(stems[position] for position in named) and (
            _is_specific(base, len(originals))
            or len({groups.find(position) for position in members}) < len(members)
        )
        found.append(Family(base, tuple(sorted(members)), tuple(originals), sure))
    return found


def _is_specific(base: str, files: int) -> bool:
    """Whether a name that so many `files` share identifies one picture and so its copies."""
    distinctive = len(base) >= MIN_CHARACTERS and any(map(str.isalpha, base))
    return distinctive and files <= MAX_SAME_NAME


def _is_series(stems: Iterable[str]) -> bool:
    return sum(1 for stem in stems if _BRACKET.match(stem)) > MAX_NUMBERED


def _base_of(stem: str, present: Container[str]) -> str | None:
    match = _BRACKET.match(stem)
    before_bracket = match["base"] if match else None
    return original_of(before_bracket or stem) or (
        before_bracket if before_bracket in present else None
    )
