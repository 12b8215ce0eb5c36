"""The patient in each file name of a set, by what the names share.

Of the parts of a name, one is the patient, and others are the picture, the visit, the date, the
site or the camera. The first part with a digit is the patient unless too many pictures share it;
then it is a site, and the next part belongs to the patient's name as well. In doubt, the shorter
name wins: two patients taken for one stay in one split, which costs little, while one taken for
two may be in two.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from dr_ovo.dataset.naming.eyes import NamedEye, has_digit
from dr_ovo.dataset.words import is_unknown

FEW = 8  # photographs of one patient: four of each eye
MAX_SHARE_OF_MANY = 0.1  # of the photographs, for patients with more than FEW
# Sets with series of pictures: so many patients at least (of numbers with three digits, which name
# no site), with so few photographs each on average, and a share of all at most for one.
MIN_SERIES, MIN_SERIES_OF_NUMBERS, MAX_SERIES, MAX_SHARE_OF_ONE = 20, 5, 50, 0.25
MIN_DIFFERENT = 10  # patients, where words or the numbers of pictures may be mistaken for them
MIN_PICTURES = 1.5  # of a patient on average, behind serial numbers
MAX_SHARE_OF_SAID = 0.8  # of the photographs, for one patient where names say `patient`

_PATIENT = re.compile(
    r"(?:patient|pat|pt|subject|subj|sub|case|paciente)\d*|p\d{3,}", re.IGNORECASE
)
_PLACE = re.compile(
    r"(?:site|clinic|centre|center|hospital|hosp|camera|cam|device|dev|scanner)\d+",
    re.IGNORECASE,
)
# Parts in which two pictures of one patient may differ.
_PASSING = re.compile(r"(?:visit|exam|session|followup|fu|grade|level|dr)\d{1,2}|[vrg]\d", re.I)
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_TIME = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d[0-5]\d")
_LONG_NUMBER = re.compile(r"(?!(?:19|20)\d\d$)\D*\d{3,}\D*")  # and no year

Key = tuple[str, ...]
Positions = tuple[int, ...]
Reading = Callable[[NamedEye, Positions], Positions]


def patients_in_names(names: Sequence[NamedEye | None]) -> list[str]:
    """(N,) the patient in each name; "" without an eye, or where no part can be the patient."""
    groups: dict[int, list[int]] = defaultdict(list)
    for at, name in enumerate(names):
        if name is not None and not any(map(is_unknown, name.rest)):
            groups[name.before].append(at)
    found = [""] * len(names)
    spelled: dict[Key, str] = {}  # letter case and separators as in the first name of a patient
    for members in groups.values():
        own = [name for at in members if (name := names[at])]
        for at, name, positions in zip(members, own, _patient_parts(own), strict=True):
            if positions:
                key = _key(name, positions)
                found[at] = spelled.setdefault(key, name.text(positions))
    return found


def _patient_parts(names: Sequence[NamedEye]) -> list[Positions]:
    """The positions of the parts that are the patient, in names with the eye at one place."""
    without = _date_columns(names) | _serial_columns(names)
    kept = [tuple(at for at in range(len(name.rest)) if at not in without) for name in names]
    for reading, test in READINGS:
        found = [reading(name, at) for name, at in zip(names, kept, strict=True)]
        keys = [_key(name, at) for name, at in zip(names, found, strict=True)]
        if not test(Counter(filter(None, keys))):
            continue
        across = any(name.before <= at[-1] for name, at in zip(names, found, strict=True) if at)
        # With something before the eye, a number behind it may as well be the picture's.
        if names[0].before and across and not _repeat(names, keys):
            break
        return found
    return [()] * len(names)


def _repeat(names: Sequence[NamedEye], keys: Sequence[Key]) -> bool:
    """Whether different names have one patient."""
    different = {(key, name.eye, name.rest) for name, key in zip(names, keys, strict=True) if key}
    return len(different) > len({key for key, _, _ in different})


def _key(name: NamedEye, positions: Positions) -> Key:
    return tuple(name.rest[at].casefold() for at in positions)


def _date_columns(names: Sequence[NamedEye]) -> set[int]:
    """The positions at which all names have a date, or the time behind it, unless these tell more
    pictures apart than all other parts do: then they stand for the patient."""
    rests = {name.rest for name in names}
    columns: set[int] = set()
    for at in range(max(map(len, rests))):
        values = {rest[at] for rest in rests if at < len(rest)}
        is_time = at - 1 in columns and all(map(_TIME.fullmatch, values))
        if is_time or all(map(_DATE.fullmatch, values)):
            columns.add(at)
    dates = {tuple(part for at, part in enumerate(rest) if at in columns) for rest in rests}
    others = {tuple(part for at, part in enumerate(rest) if at not in columns) for rest in rests}
    digits = any(has_digit(part) for rest in others for part in rest)
    return columns if digits and len(others) >= len(dates) else set()


def _serial_columns(names: Sequence[NamedEye]) -> set[int]:
    """The position of a number that no two names share, with one behind it that patients share."""
    for at in range(min(len(name.rest) for name in names) - 1):
        values = {name.rest[at] for name in names if has_digit(name.rest[at])}
        behind: Counter[Key] = Counter((name.rest[at + 1],) for name in names)
        if len(values) == len(names) and _are_behind_serials(behind):
            return {at}
    return set()


def _by_word(name: NamedEye, kept: Positions) -> Positions:
    """The part that says patient, with what names the site before it."""
    rest = name.rest
    for order, at in enumerate(kept):
        if not _PATIENT.fullmatch(rest[at]):
            continue
        end = order + (1 if has_digit(rest[at]) else 2)
        if has_digit("".join(rest[one] for one in kept[order:end])):
            before = [at for at in kept[:order] if not rest[at].isdigit() and not _passes(rest[at])]
            return (*before, *kept[order:end])
    return ()


def _person(name: NamedEye, kept: Positions) -> Positions:
    """All parts before the eye, where none has a digit: `Doe_Jane_OD_1`."""
    before = tuple(at for at in kept if at < name.before)
    return () if any(has_digit(name.rest[at]) for at in before) else before


def _first(name: NamedEye, kept: Positions, level: int = 1) -> Positions:
    """All parts up to the first with a digit that is neither the number of a place nor a date with
    a time; with `level` 2, up to the second."""
    rest = name.rest
    ends = [
        order + 1
        for order, at in enumerate(kept)
        if has_digit(rest[at]) and not _PLACE.fullmatch(rest[at]) and not _has_time(rest, at)
    ]
    return kept[: ends[:level][-1]] if ends else ()


def _lasting(name: NamedEye, kept: Positions, level: int = 1) -> Positions:
    """The same without visits and grades."""
    return _first(name, tuple(at for at in kept if not _passes(name.rest[at])), level)


def _has_time(rest: Key, at: int) -> bool:
    dated = _DATE.fullmatch(rest[at]) is not None
    return dated and at + 1 < len(rest) and _TIME.fullmatch(rest[at + 1]) is not None


def _passes(part: str) -> bool:
    return _PASSING.fullmatch(part) is not None


def _are_said(counts: Counter[Key]) -> bool:
    """Whether values that are called patients are: no placeholder has nearly all pictures."""
    return len(counts) > 1 and max(counts.values()) <= MAX_SHARE_OF_SAID * counts.total()


def _are_people(counts: Counter[Key]) -> bool:
    """Whether words, or numbers behind others, are patients: many, with few pictures each."""
    return len(counts) >= MIN_DIFFERENT and are_patients(counts)


def _are_behind_serials(counts: Counter[Key]) -> bool:
    """Whether the numbers behind serial numbers of the pictures are patients."""
    long = all(_LONG_NUMBER.fullmatch(number) for (number,) in counts)
    return long and counts.total() >= MIN_PICTURES * len(counts) and _are_people(counts)


def are_patients(counts: Counter[Key]) -> bool:
    """Whether the parts that would be patients, with how many pictures share each, can be that."""
    total = counts.total()
    if len(counts) < 2:
        return 0 < total <= FEW // 2
    many = sum(count for count in counts.values() if count > FEW)
    numbers = all(_LONG_NUMBER.fullmatch(key[-1]) for key in counts)
    series = (
        len(counts) >= (MIN_SERIES_OF_NUMBERS if numbers else MIN_SERIES)
        and total <= MAX_SERIES * len(counts)
        and max(counts.values()) <= MAX_SHARE_OF_ONE * total
    )
    return series or many <= MAX_SHARE_OF_MANY * total


# The first reading that gives patients counts.
READINGS: tuple[tuple[Reading, Callable[[Counter[Key]], bool]], ...] = (
    (_by_word, lambda counts: are_patients(counts) or _are_said(counts)),
    (_person, _are_people),
    (_first, are_patients),
    (_lasting, are_patients),
    (partial(_lasting, level=2), are_patients),
    (partial(_first, level=2), are_patients),
)
