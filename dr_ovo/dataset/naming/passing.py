"""The parts of names that are no patient: dates, visits, fields, splits and grades."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from dr_ovo.dataset.words import is_split_or_grade

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_TIME = r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?"
_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_IS_TIME = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d[0-5]\d")
_IS_DATE = re.compile(rf"(?:19|20)\d\d{_DAY}(?:T?{_TIME})?", re.IGNORECASE)
_IS_SHORT_DATE = re.compile(rf"\d\d{_DAY}")
# 2020-01-31, 31.01.2020, 01-31-2020 and 31-Jan-2020, maybe with the time: one part, not three.
_WRITTEN = re.compile(
    r"(?<!\d)(?:(?P<year>(?:19|20)\d\d)(?P<gap>[-_. ])(?P<month>[01]\d)(?P=gap)(?P<day>[0-3]\d)|"
    r"(?P<one>[0-3]\d)(?P<between>[-_. ])(?P<other>[0-3]\d)(?P=between)(?P<end>(?:19|20)\d\d)|"
    rf"(?P<date>[0-3]?\d)[-_. ]?(?P<name>{'|'.join(_MONTHS)})[a-z]*[-_. ]?(?P<of>(?:19|20)\d\d))"
    r"(?:[-_. T](?P<time>(?:[01]\d|2[0-3])[-_.:][0-5]\d[-_.:][0-5]\d))?(?!\d)",
    re.IGNORECASE,
)
# Always behind or before a patient, never one: with a number at the end, or apart from it.
_PASSING = re.compile(
    r"(?:visits?|vis|exams?|examination|sessions?|ses|followup|fu|weeks?|wk|months?|mth|mo|days?|"
    r"years?|yr|timepoint|baseline|bl|screening|fields?|views?|grade|level|batch)\d{0,3}|dr\d{1,2}",
    re.IGNORECASE,
)
# What may be a visit, a field or a grade as well as a patient: its number decides.
_CODED = re.compile(r"[a-z]\d{1,2}|\d|(?:19|20)\d\d", re.IGNORECASE)
# The name of a folder that is a visit or a field where others are patients: V2, F1, M06.
_CODED_VISIT = re.compile(r"[vtwf]\d{1,2}|m(?:0|00|0?[369]|12|18|24|36|48|60)", re.IGNORECASE)
_SITE = re.compile(r"(?:site|clinic|centre|center|hospital|hosp)\d*", re.IGNORECASE)
_DEVICE = re.compile(r"(?:camera|cam|device|dev|scanner)\d+", re.IGNORECASE)
MANY_DIGITS = 3  # of a number behind a word such as visit: it is the patient's
_SEPARATORS = re.compile(r"[\W_]+")


_SEEN = lru_cache(maxsize=1 << 16)  # most parts of names are in many of them


@_SEEN
def has_digit(part: str) -> bool:
    """Whether a part of a name has a digit."""
    return any(map(str.isdigit, part))


def with_compact_dates(name: str) -> str:
    """A name with its dates as 20200131, with a time as 20200131T101533."""
    return _WRITTEN.sub(_compact, name) if sum(map(str.isdigit, name)) > 4 else name


def is_date(part: str) -> bool:
    """Whether a part of a name is a date (after `with_compact_dates`), maybe with the time."""
    return _IS_DATE.fullmatch(part) is not None


def is_short_date(part: str) -> bool:
    """Whether a part may be a date as 200131; many numbers of patients look so too."""
    return _IS_SHORT_DATE.fullmatch(part) is not None


def is_time(part: str) -> bool:
    """Whether a part may be a time as 101533 (1015 may be a patient)."""
    return _IS_TIME.fullmatch(part) is not None


def is_coded(part: str) -> bool:
    """Whether a part may be a visit, a field, a grade or a year (V2, F1, M06, 3, 2020)."""
    return _CODED.fullmatch(part) is not None


def is_coded_visit(folder: str) -> bool:
    """Whether the name of a folder may be a visit or a field."""
    return _CODED_VISIT.fullmatch(folder) is not None


def passing_parts(parts: Sequence[str]) -> set[int]:
    """The positions of visits, fields, cameras, splits and grades among the parts of a name, also
    where the number is apart (`visit_2`)."""
    found = {at for at, part in enumerate(parts) if _passes(part)}
    for at, (one, other) in enumerate(pairwise(parts)):
        apart = at in found and _PASSING.fullmatch(one) and not has_digit(one)
        if apart and other.isdigit() and len(other) < MANY_DIGITS:
            found.add(at + 1)
        elif _is_pair(one, other):
            found |= {at, at + 1}
    return found


@_SEEN
def _is_pair(one: str, other: str) -> bool:
    """Whether two parts are a grade together (`No_DR`)."""
    words = not has_digit(one) and not has_digit(other)
    return words and is_split_or_grade(f"{one}{other}")


@_SEEN
def _passes(part: str) -> bool:
    named = _PASSING.fullmatch(part) or _DEVICE.fullmatch(part)
    return named is not None or (not has_digit(part) and is_split_or_grade(part))


def site_parts(parts: Sequence[str]) -> set[int]:
    """The positions of sites with their numbers (`site3`, `clinic_3_`) among the parts of a name:
    each site numbers its own patients."""
    found: set[int] = set()
    for at, part in enumerate(parts):
        if not _is_site(part):
            continue
        if has_digit(part):
            found.add(at)
        elif sum(map(has_digit, parts[at + 1 :])) > 1 and parts[at + 1].isdigit():
            found |= {at, at + 1}
    return found


@_SEEN
def _is_site(part: str) -> bool:
    return _SITE.fullmatch(part) is not None


def patient_in_folder(folder: str) -> str:
    """The name of a folder without dates and visits; "" where nothing else is in it."""
    parts = [part for part in _SEPARATORS.split(with_compact_dates(folder)) if part]
    passing = passing_parts(parts) | {at for at, part in enumerate(parts) if is_date(part)}
    if not passing:
        return folder
    return "_".join(part for at, part in enumerate(parts) if at not in passing)


def _compact(match: re.Match[str]) -> str:
    year = match["year"] or match["end"] or match["of"]
    month, day = match["month"], match["day"]
    if match["name"]:
        month = f"{_MONTHS.index(match['name'].lower()) + 1:02}"
        day = f"{int(match['date']):02}"
    elif match["one"]:
        day, month = match["one"], match["other"]
        if int(month) > 12:  # as in the United States
            day, month = month, day
    time = "T" + "".join(filter(str.isdigit, match["time"])) if match["time"] else ""
    return f"{year}{month}{day}{time}"
