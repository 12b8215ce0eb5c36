"""Copies that their file names give away: `10_left_aug3`, `eye (1)`, `Copy of eye`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from dr_ovo.audit.findings import WARNING, Finding, Photograph, severity_across

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


def original_of(stem: str) -> str | None:
    """The name of the picture that a copy was made from, or None for a name that tells of none."""
    for pattern in (_SUFFIX, _PREFIX):
        if match := pattern.match(stem):
            return original_of(match["base"]) or match["base"]
    return None


def _numbered(stem: str) -> str | None:
    """`eye` of `eye (1)`: what systems name a second file of a name. Series are named so too."""
    match = _BRACKET.match(stem)
    return match["base"] if match else None


def name_findings(photographs: Sequence[Photograph]) -> list[Finding]:
    """A finding for each picture whose copies stand beside it or in another split.

    `eye (1)` counts only where `eye` itself is there: whole sets are numbered in brackets. Copies
    without a second file of their picture are one finding together.
    """
    stems = {p.path.stem for p in photographs}
    families: dict[str, list[Photograph]] = defaultdict(list)
    named: dict[str, list[Photograph]] = defaultdict(list)
    for photograph in photographs:
        stem = photograph.path.stem
        bracket = _numbered(stem)
        base = original_of(bracket or stem) or (bracket if bracket in stems else None)
        families[base or stem].append(photograph)
        if base:
            named[base].append(photograph)
    found, alone = [], []
    for base, copies in named.items():
        family = families[base]
        if len(family) > 1:
            detail = f"named as copies of {base}"
            found.append(
                Finding("augmented_copy", severity_across(family), tuple(family), None, detail)
            )
        else:
            alone += copies
    if alone:
        detail = "named as copies; the pictures that they were made from are not here"
        found.append(Finding("augmented_copy", WARNING, tuple(alone), None, detail))
    return found
