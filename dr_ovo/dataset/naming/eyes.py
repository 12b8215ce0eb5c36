"""The eye in each file name of a set: `1221_OD_3`, `1_l1` (DeepDRiD), `P12LeftEye`.

A word such as OD or left says it alone. The letters L and R mean other things too (R0 to R3 are
grades, L, M and H are qualities, L1 may be a camera), and a word without separators may be part of
a code: these count only where the other names of the set agree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from dr_ovo.dataset.naming.eye_words import (
    GLUED_LETTER,
    GLUED_WORD,
    LETTER,
    NUMBERED,
    PAIRED,
    WORD,
    NamedEye,
    eye_in_stem,
    places_of_words,
)

MIN_OF_EACH_EYE = 0.1  # of the names with a numbered letter
MIN_ALTERNATING = 0.5  # of the names with a letter that means an eye only with its counterpart
# Of the names without an eye between separators: fewer with one inside a word are chance (codes).
MIN_GLUED = 0.1


def eyes_in_names(stems: Sequence[str]) -> list[NamedEye | None]:
    """(N,) the eye in each name of a set; None where there is none, or both, or where other names
    show that it is no eye.

    Where a letter is one of several kinds (`12_L`, `12_M`, `12_H`), what is found has no eye ("")
    and the other parts of the name.
    """
    found = [eye_in_stem(stem) for stem in stems]
    without = sum(one is None or one.kind in (GLUED_WORD, GLUED_LETTER) for one in found)
    # Numbered letters in front may be grades or cameras, so they are judged by themselves.
    groups: dict[tuple[str, bool], list[NamedEye]] = defaultdict(list)
    for one in found:
        if one is not None:
            groups[one.kind, one.in_front].append(one)
    counted = {
        group for group, members in groups.items() if _counts(*group, members, without=without)
    }
    kept = [one if one and (one.kind, one.in_front) in counted else None for one in found]
    return _without_kinds(stems, kept)


def _counts(kind: str, in_front: bool, members: Sequence[NamedEye], *, without: int) -> bool:
    """Whether eyes of a kind are eyes, by all `members` that have it. `without` names of the set
    have no eye between separators."""
    if kind == WORD:
        return True
    if kind == GLUED_WORD:
        return len(members) >= MIN_GLUED * without
    if kind == GLUED_LETTER:
        return len(members) >= MIN_GLUED * without and _alternates(members)
    sides = Counter(one.eye for one in members)
    if kind == PAIRED and len(sides) == 1:
        return False
    if in_front and (kind == NUMBERED or len(sides) == 1):
        return _alternates(members)
    if len(sides) > 1:
        return min(sides.values()) >= MIN_OF_EACH_EYE * len(members)
    # One eye alone: pictures 1 and 2 of an eye have all else in common, two grades do not.
    return kind == LETTER or 2 * len({one.rest for one in members}) <= len(members)


def _alternates(members: Sequence[NamedEye]) -> bool:
    """Whether most names occur with left and with right."""
    sides = defaultdict(set)
    for one in members:
        sides[one.rest].add(one.eye)
    both = sum(len(sides[one.rest]) > 1 for one in members)
    return both >= MIN_ALTERNATING * len(members)


def _without_kinds(stems: Sequence[str], names: Sequence[NamedEye | None]) -> list[NamedEye | None]:
    """The names, without the eye where a short word is one of several kinds: most other parts
    occur with another word in its place, and none with the other eye."""
    doubtful = [name for name in names if name is not None and name.is_doubtful]
    places: dict[tuple[tuple[str, ...], int], set[str]] = defaultdict(set)
    for name in doubtful:
        places[name.rest, name.before].add(name.eye)
    if not places or any(len(eyes) > 1 for eyes in places.values()):
        return list(names)
    others = {
        place
        for stem, name in zip(stems, names, strict=True)
        if name is None
        for place in places_of_words(stem)
    }
    if 2 * sum(place in others for place in places) <= len(places):
        return list(names)
    return [replace(name, eye="") if name and name.is_doubtful else name for name in names]
