"""The eye in each file name of a set: `1221_OD_3`, `1_l1` (DeepDRiD), `P12LeftEye`.

A word such as OD or left says it alone. The letters L and R mean other things too (R0 to R3 are
grades, L1 may be a camera), and a word without separators may be part of a code: these count only
where the other names of the set agree.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dr_ovo.dataset.words import EYES

_LETTERS = ("le", "re", "l", "r")
_WORDS = sorted(word for word in EYES if word.isalpha() and word not in _LETTERS)
# An eye, maybe with `eye` behind it and with the number of the picture.
_WORD = re.compile(rf"(?P<eye>{'|'.join(_WORDS)})(?:eye)?\d{{0,2}}", re.IGNORECASE)
_LETTER = re.compile(rf"(?P<eye>{'|'.join(_LETTERS)})(?P<number>\d{{0,2}})", re.IGNORECASE)
_PARTS = re.compile(r"[^\W_]+")
_GAP_AND_PART = re.compile(r"([\W_]*)([^\W_]+)")
_CHUNKS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # of a name in camel case
_GLUED_LETTER = re.compile(r"(?<=\d)[LRlr](?=\d{0,2}$)")
_EYE = {"eye", "ojo", "olho", "oeil", "auge"}  # left_eye
# 2020-01-31 and 31.01.2020: one part of the name, not three.
_DATE = re.compile(
    r"(?<!\d)(?:((?:19|20)\d\d)[-_. ]([01]\d)[-_. ]([0-3]\d)|"
    r"([0-3]\d)[-_. ]([01]\d)[-_. ]((?:19|20)\d\d))(?!\d)"
)
MIN_OF_EACH_EYE = 0.1  # of the names with a numbered letter
MIN_ALTERNATING = 0.5  # of the names with a letter that means an eye only with its counterpart
# Of the names without an eye between separators: fewer with one inside a word are chance (codes).
MIN_GLUED = 0.1

WORD, LETTER, NUMBERED, GLUED_WORD, GLUED_LETTER = "word", "letter", "numbered", "OD12", "12L"


@dataclass(frozen=True)
class NamedEye:
    """The eye in a name, left or right, and how it is written.

    `rest` are the other parts, `gaps` what separates each from the part before it; the first
    `before` of them stand before the eye.
    """

    eye: str
    kind: str
    rest: tuple[str, ...]
    gaps: tuple[str, ...]
    before: int

    @property
    def in_front(self) -> bool:
        """Whether no number stands before the eye."""
        return not any(map(has_digit, self.rest[: self.before]))

    def text(self, positions: Sequence[int]) -> str:
        """The parts at `positions`, separated as in the name."""
        first, *others = positions
        return self.rest[first] + "".join((self.gaps[at] or "_") + self.rest[at] for at in others)


def has_digit(part: str) -> bool:
    """Whether a part of a name has a digit."""
    return any(map(str.isdigit, part))


def eyes_in_names(stems: Sequence[str]) -> list[NamedEye | None]:
    """(N,) the eye in each name of a set; None where there is none, or both, or where other names
    show that it is no eye."""
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
    return [one if one and (one.kind, one.in_front) in counted else None for one in found]


def eye_in_stem(stem: str) -> NamedEye | None:
    """The eye that one name seems to hold, whatever other names say."""
    name = _DATE.sub(_compact, unicodedata.normalize("NFC", stem))
    parts = [(part.start(), part.end()) for part in _PARTS.finditer(name)]
    chunks = [(part.start(), part.end()) for part in _CHUNKS.finditer(name)]
    for pattern, spans, glued in ((_WORD, parts, False), (_LETTER, parts, False),
                                  (_WORD, chunks, True)):  # fmt: skip
        eyes = [(a, b, m) for a, b in spans if (m := pattern.fullmatch(name[a:b]))]
        sides = {EYES[match["eye"].lower()] for _, _, match in eyes}
        if len(sides) > 1:
            return None
        if eyes:
            kind = GLUED_WORD if glued else WORD
            if pattern is _LETTER:
                kind = NUMBERED if eyes[0][2]["number"] else LETTER
            return _around(name, [(a, b) for a, b, _ in eyes], sides.pop(), kind)
    if match := _GLUED_LETTER.search(name):
        return _around(name, [(match.start(), len(name))], EYES[match[0].lower()], GLUED_LETTER)
    return None


def _compact(date: re.Match[str]) -> str:
    """A date as 20200131."""
    return "".join(date.groups("")[:3] if date[1] else reversed(date.groups("")[3:]))


def _around(name: str, spans: Sequence[tuple[int, int]], eye: str, kind: str) -> NamedEye | None:
    """The eye at the first of `spans`, with the other parts of the name; None without any."""
    ends = [start for start, _ in spans[1:]] + [len(name)]
    behind = "_".join(name[end:start] for (_, end), start in zip(spans, ends, strict=True))
    before, after = (
        [(gap, part) for gap, part in _GAP_AND_PART.findall(text) if part.lower() not in _EYE]
        for text in (name[: spans[0][0]], behind)
    )
    gaps, rest = zip(*before, *after, strict=True) if before or after else ((), ())
    return NamedEye(eye, kind, rest, gaps, len(before)) if rest else None


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
