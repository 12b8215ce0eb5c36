"""The words, letters and signs in a file name that may be an eye, and the parts around it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from dr_ovo.dataset.naming.passing import has_digit, with_compact_dates
from dr_ovo.dataset.words import EYES

WORD, LETTER, NUMBERED, PAIRED = "word", "letter", "numbered", "paired"
GLUED_WORD, GLUED_LETTER = "OD12", "12L"

# German and Italian; they mean other things too (dx: diagnosis).
_PAIRED_EYES = {"ra": "right", "la": "left", "dx": "right", "sx": "left"}
_LETTER_EYES = {letters: EYES[letters] for letters in ("le", "re", "l", "r")}
_WORD_EYES = {
    word: eye for word, eye in EYES.items() if word.isalpha() and word not in _LETTER_EYES
}
_DOUBTFUL = {*_LETTER_EYES, *_PAIRED_EYES, "og"}  # og: the original of a copy
_SEPARATORS = re.compile(r"([\W_]+)")
_CHUNKS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # of a name in camel case
_GLUED_LETTER = re.compile(r"(?<=\d)[LRlr](?=\d{0,2}$)")
# A word, maybe with `eye` behind it and with the number of the picture.
_NUMBERED = re.compile(r"(?P<word>[^\W\d_]+?)(?:eye)?(?P<number>\d{0,2})", re.IGNORECASE)
_SHORT = re.compile(r"[^\W\d_]{1,4}\d{0,2}")
_EYE = {"eye", "ojo", "olho", "oeil", "auge"}  # left_eye
_DOTTED = re.compile(r"(?<![^\W_])(o)\.\s?([dsieg])(?:\.|(?![^\W_]))", re.IGNORECASE)
_GLUED_VISIT = re.compile(r"(?<=\d)(?=v(?:isit)?\d{1,2}(?!\d))", re.IGNORECASE)  # P01V2
_HAN = "\u4e00-\u9fff"
# Left and right in Chinese and Japanese, with the sign of the eye or apart from other signs.
_SIGNS = re.compile(rf"([\u5de6\u53f3])[\u773c\u76ee]|(?<![{_HAN}])([\u5de6\u53f3])(?![{_HAN}])")
_SIGN_EYES = {"\u5de6": "left", "\u53f3": "right"}


@dataclass(frozen=True)
class NamedEye:
    """The eye in a name, left or right, the `word` that says it, and its kind.

    `rest` are the other parts, `gaps` what separates each from the part before it; the first
    `before` of them stand before the eye, and the first `folders` of these are folders.
    """

    eye: str
    kind: str
    word: str
    rest: tuple[str, ...]
    gaps: tuple[str, ...]
    before: int
    folders: int = 0

    @property
    def in_front(self) -> bool:
        """Whether no number stands before the eye."""
        return not any(map(has_digit, self.rest[: self.before]))

    @property
    def is_doubtful(self) -> bool:
        """Whether the word that says the eye is short and means other things too."""
        return self.kind in (LETTER, NUMBERED, PAIRED) or self.word in _DOUBTFUL

    def text(self, positions: Sequence[int]) -> str:
        """The parts at `positions`, separated as in the name."""
        first, *others = positions
        return self.rest[first] + "".join((self.gaps[at] or "_") + self.rest[at] for at in others)

    def only(self, positions: Sequence[int]) -> NamedEye:
        """The same with the parts at `positions` alone."""
        return replace(
            self,
            rest=tuple(self.rest[at] for at in positions),
            gaps=tuple(self.gaps[at] for at in positions),
            before=sum(at < self.before for at in positions),
            folders=sum(at < self.folders for at in positions),
        )

    def inside(self, folders: Sequence[str]) -> NamedEye:
        """The same in `folders`, outermost first, which are parts before the others."""
        if not folders:
            return self
        gaps = ("_",) * (len(folders) + bool(self.rest))
        return NamedEye(
            self.eye, self.kind, self.word, (*folders, *self.rest), (*gaps, *self.gaps[1:]),
            len(folders) + self.before, len(folders),
        )  # fmt: skip


def comparable_name(stem: str) -> str:
    """A name with composed accents, compact dates, and eyes as words (`O.D.` is OD)."""
    name = stem if stem.isascii() else unicodedata.normalize("NFC", stem)
    if "." in name:
        name = _DOTTED.sub(r"\1\2_", name)
    if not name.isascii():
        name = _SIGNS.sub(lambda match: f"_{_SIGN_EYES[match[1] or match[2]]}_", name)
    return with_compact_dates(_GLUED_VISIT.sub("_", name))


def parts_of(name: str) -> list[str]:
    """The parts of a name between separators."""
    return [part for part in _SEPARATORS.split(name)[::2] if part]


def eye_alone(stem: str) -> str:
    """left or right where a name is an eye and nothing else, "" for any other."""
    return EYES.get(stem.lower()) or EYES.get(comparable_name(stem).strip("_ ").lower(), "")


def eye_in_stem(stem: str) -> NamedEye | None:
    """The eye that one name seems to hold, whatever other names say; None for none or both."""
    name = comparable_name(stem)
    pieces = _SEPARATORS.split(name)
    for eyes, kind in ((_WORD_EYES, WORD), (_LETTER_EYES, LETTER), (_PAIRED_EYES, PAIRED)):
        if found := _matching(pieces, eyes):
            numbered = kind == LETTER and _word(pieces[found[0]])[1]
            return _around(pieces, found, eyes, NUMBERED if numbered else kind)
    lower = name.lower()
    if any(word in lower for word in _WORD_EYES):
        pieces = _SEPARATORS.split(_CHUNKS.sub(_apart, name))
        if found := _matching(pieces, _WORD_EYES):
            return _around(pieces, found, _WORD_EYES, GLUED_WORD)
    if match := _GLUED_LETTER.search(name):
        pieces = [*_SEPARATORS.split(name[: match.start()]), "", name[match.start() :]]
        return _around(pieces, [len(pieces) - 1], _LETTER_EYES, GLUED_LETTER)
    return None


def places_of_words(stem: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """For each short word in a name: the other parts, and how many of them stand before it."""
    parts = parts_of(comparable_name(stem))
    for at, part in enumerate(parts):
        if _SHORT.fullmatch(part):
            yield (*parts[:at], *parts[at + 1 :]), at


@lru_cache(maxsize=1 << 16)
def _word(part: str) -> tuple[str, str]:
    """The word in a part of a name, in lower case without `eye`, and its number; both may be ""."""
    match = _NUMBERED.fullmatch(part)
    return (match["word"].lower(), match["number"]) if match else ("", "")


def _matching(pieces: Sequence[str], eyes: Mapping[str, str]) -> list[int]:
    """The positions of words of `eyes` among parts and separators, which alternate."""
    return [at for at in range(0, len(pieces), 2) if _word(pieces[at])[0] in eyes]


def _apart(chunk: re.Match[str]) -> str:
    """A chunk of a name, between separators where it is an eye."""
    return f"_{chunk[0]}_" if _word(chunk[0])[0] in _WORD_EYES else chunk[0]


def _around(
    pieces: Sequence[str], found: Sequence[int], eyes: Mapping[str, str], kind: str
) -> NamedEye | None:
    """The eye at the first of `found`, positions in `pieces` (parts and separators, alternating),
    with the other parts; None where they are of both eyes, or where there are no other parts."""
    words = [_word(pieces[at])[0] for at in found]
    if len({eyes[word] for word in words}) > 1:
        return None
    others = [
        at
        for at in range(0, len(pieces), 2)
        if pieces[at] and at not in found and pieces[at].lower() not in _EYE
    ]
    if not others:
        return None
    return NamedEye(
        eye=eyes[words[0]],
        kind=kind,
        word=words[0],
        rest=tuple(pieces[at] for at in others),
        gaps=tuple(pieces[at - 1] if at else "" for at in others),
        before=sum(at < found[0] for at in others),
    )
