"""The patient in each file name of a set, by what the names share.

Of the parts of a name, one is the patient, and others are the picture, the visit, the date, the
site or the camera. The first part with a digit is the patient, unless the set shows that it is
something else (`fronts.py`); then the next one is. In doubt, two patients are taken for one, which
costs little: they stay in one split, while one patient that is taken for two may be in two.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from dr_ovo.dataset.naming.eye_words import NamedEye
from dr_ovo.dataset.naming.fronts import MAX_OF_PERSON, Rows, are_variants, is_no_patient, is_person
from dr_ovo.dataset.naming.passing import has_digit, passing_parts, site_parts
from dr_ovo.dataset.naming.times import time_columns
from dr_ovo.dataset.words import is_unknown

MAX_MEAN = 100  # photographs of a patient on average: what has more is a site or a camera
# Photographs that may be those of one person: of one eye, and of both.
FEW_OF_ONE, MAX_OF_ONE = 4, 50
MAX_SHARE_OF_SAID = 0.8  # of the photographs, for one patient where names say `patient`
MIN_WORDS = 3  # different words that may be names of people
MAX_OF_WORDS = 20  # photographs of each on average

_PATIENT = re.compile(
    r"(?:patient|pat|pt|subject|subj|sub|case|paciente)\d*|p\d{3,}", re.IGNORECASE
)

Key = tuple[str, ...]
Positions = tuple[int, ...]


def patients_in_names(names: Sequence[NamedEye | None]) -> list[str]:
    """(N,) the patient in each name; "" without an eye, or where no part can be the patient."""
    groups: dict[tuple[int, bool], list[tuple[int, NamedEye]]] = defaultdict(list)
    for at, name in enumerate(names):
        if name is not None and not any(map(is_unknown, name.rest)):
            lasting = _lasting(name)
            groups[lasting.before, name.before > 0].append((at, lasting))
    found = [""] * len(names)
    spelled: dict[Key, str] = {}  # letter case and separators as in the first name of a patient
    for (_, is_led), members in groups.items():
        own = _patient_parts([name for _, name in members], is_led=is_led)
        for (at, name), positions in zip(members, own, strict=True):
            if positions:
                key = key_of(name, positions)
                found[at] = spelled.setdefault(key, name.text(positions))
    return found


def _lasting(name: NamedEye) -> NamedEye:
    """The name without visits, fields and cameras, if other parts may be the patient."""
    passing = passing_parts(name.rest)
    lasting = [at for at in range(len(name.rest)) if at not in passing]
    may_be = any(has_digit(name.rest[at]) or at < name.before for at in lasting)
    return name.only(lasting) if passing and may_be else name


def key_of(name: NamedEye, positions: Positions) -> Key:
    """The parts at `positions` as they are compared."""
    return tuple(name.rest[at].casefold() for at in positions)


def _patient_parts(names: Sequence[NamedEye], *, is_led: bool) -> list[Positions]:
    """The positions of the parts that are the patient, in names with the eye at one place.

    `is_led`: something stands before the eye, even if it is no patient (`CAM1_OD_003`).
    """
    times = time_columns(names)
    sites = [tuple(sorted(site_parts(name.rest))) for name in names]
    kept = [
        tuple(at for at in range(len(name.rest)) if at not in times and at not in own)
        for name, own in zip(names, sites, strict=True)
    ]
    found = _said(names, kept) or _people(names, kept) or _numbered(names, kept)
    if not _are_people(names, found, is_led=is_led):
        return [()] * len(names)
    return [(*site, *own) if own else () for site, own in zip(sites, found, strict=True)]


def _said(names: Sequence[NamedEye], kept: Sequence[Positions]) -> list[Positions]:
    """The parts that say patient, in names most of which have one; [] where they are none."""
    said = [_by_word(name, at) for name, at in zip(names, kept, strict=True)]
    counts = Counter(key_of(name, at) for name, at in zip(names, said, strict=True) if at)
    if 2 * counts.total() < len(names) or len(counts) < 2:
        return []
    if max(counts.values()) > MAX_SHARE_OF_SAID * counts.total():  # a placeholder
        return []
    return [own or _first(name, at) for name, at, own in zip(names, kept, said, strict=True)]


def _by_word(name: NamedEye, kept: Positions) -> Positions:
    """The part that says patient, with its number where that is apart."""
    rest = name.rest
    for order, at in enumerate(kept):
        if _PATIENT.fullmatch(rest[at]):
            own = kept[order : order + (1 if has_digit(rest[at]) else 2)]
            if any(has_digit(rest[one]) for one in own):
                return own
    return ()


def _people(names: Sequence[NamedEye], kept: Sequence[Positions]) -> list[Positions]:
    """All parts before the eye, where none has a digit (`Doe_Jane_OD_1`); [] where these words are
    not many, or stand for the kind of the picture."""
    before = [tuple(p for p in at if p < n.before) for n, at in zip(names, kept, strict=True)]
    if any(has_digit(n.rest[p]) for n, at in zip(names, before, strict=True) for p in at):
        return []
    rows = _rows(names, before, kept)
    words = Counter(filter(None, rows.front))
    if len(words) < MIN_WORDS or words.total() > MAX_OF_WORDS * len(words):
        return []
    variants = are_variants(rows) and not rows.across
    return [] if variants or is_no_patient(rows) else before


def _numbered(names: Sequence[NamedEye], kept: Sequence[Positions]) -> list[Positions]:
    """All parts up to the first with a digit, without those in front of it that are no patient."""
    rest = _without_variants(names, kept)
    constant: list[Positions] = [()] * len(names)
    while True:
        found = [_first(name, at) for name, at in zip(names, rest, strict=True)]
        rows = _rows(names, found, rest)
        if not is_no_patient(rows):
            return [(*one, *at) for one, at in zip(constant, found, strict=True)]
        rest = [own[len(at) :] for own, at in zip(rest, found, strict=True)]
        if len(set(rows.front)) == 1:  # it tells nothing, and stays in the name
            constant = [(*one, *at) for one, at in zip(constant, found, strict=True)]


def _without_variants(names: Sequence[NamedEye], kept: Sequence[Positions]) -> list[Positions]:
    """The parts without the words in front that all patients have (`pre_1001`, `post_1001`)."""
    words = [_words(name, at) for name, at in zip(names, kept, strict=True)]
    if not are_variants(_rows(names, words, kept)):
        return list(kept)
    return [own[len(at) :] for own, at in zip(kept, words, strict=True)]


def _words(name: NamedEye, kept: Positions) -> Positions:
    """The parts before the first with a digit."""
    first = _first(name, kept)
    return first[:-1] if first and has_digit(name.rest[first[-1]]) else ()


def _first(name: NamedEye, kept: Positions) -> Positions:
    """All parts up to the first with a digit; those before the eye where none has one."""
    for order, at in enumerate(kept):
        if has_digit(name.rest[at]):
            return kept[: order + 1]
    return tuple(at for at in kept if at < name.before)


def _rows(names: Sequence[NamedEye], front: Sequence[Positions], kept: Sequence[Positions]) -> Rows:
    """What stands in front, and the next part with a digit behind it."""
    behind, across, to_eye, folders = [], 0, 0, 0
    for name, at, own in zip(names, front, kept, strict=True):
        next_to = [p for p in own if not at or p > at[-1]]
        numbers = [p for p in next_to if has_digit(name.rest[p])]
        behind.append(name.rest[numbers[0]].casefold() if numbers else "")
        to_eye += bool(numbers and numbers[0] < name.before)
        across += bool(at and numbers and at[-1] < name.before <= numbers[0])
        folders += bool(at and at[-1] < name.folders)
    keys = [key_of(name, at) for name, at in zip(names, front, strict=True)]
    most = [2 * count > len(names) for count in (across, to_eye, folders)]
    return Rows(keys, behind, *most)


def _are_people(names: Sequence[NamedEye], found: Sequence[Positions], *, is_led: bool) -> bool:
    """Whether the parts that would be patients, with how many pictures share each, can be that."""
    keys = [key_of(name, at) for name, at in zip(names, found, strict=True)]
    counts = Counter(filter(None, keys))
    if not counts:
        return False
    # With something before the eye, a number behind it may as well be the picture's.
    across = any(name.before <= at[-1] for name, at in zip(names, found, strict=True) if at)
    different = {(key, name.eye, name.rest) for name, key in zip(names, keys, strict=True) if key}
    if is_led and across and len(different) == len(counts):
        return False
    if len(counts) == 1 and counts.total() > FEW_OF_ONE:
        eyes = {name.eye for name in names}
        return counts.total() <= MAX_OF_ONE and len(eyes) > 1
    most = MAX_OF_PERSON if all(is_person(key[-1]) for key in counts) else MAX_MEAN
    return counts.total() <= most * len(counts)
