"""The positions at which all names of a set have a date or a time."""

from __future__ import annotations

from collections.abc import Sequence

from dr_ovo.dataset.naming.eye_words import NamedEye
from dr_ovo.dataset.naming.passing import (
    has_digit,
    is_date,
    is_short_date,
    is_time,
)

ALL = 0.95  # of the names: some have a placeholder
SHORT = 2  # digits of a number that is rather a picture's than a patient's
MIN_PATIENTS = 5  # with short numbers between date and eye

Parts = tuple[str, ...]


def time_columns(names: Sequence[NamedEye]) -> set[int]:
    """The positions at which the names have a date, or the time behind it, unless nothing else can
    be the patient: then the dates stand for patients."""
    rests = list({(name.before, name.rest) for name in names})
    columns: set[int] = set()
    for at in range(max(len(rest) for _, rest in rests)):
        values = [rest[at] for _, rest in rests if at < len(rest)]
        after_date = at - 1 in columns and _most(map(is_time, values), values)
        if after_date or _most(map(is_date, values), values):
            columns.add(at)
        elif _most(map(is_short_date, values), values):
            columns |= {at} if _others_are_enough(rests, columns | {at}) else set()
    return columns if columns and _others_are_enough(rests, columns) else set()


def _most(found: map[bool], values: Sequence[str]) -> bool:
    return sum(found) >= ALL * len(values)


def _others_are_enough(rests: Sequence[tuple[int, Parts]], columns: set[int]) -> bool:
    """Whether the parts outside `columns` can tell patients apart: they have numbers before the
    eye, or more than short ones, or at least as many values as the dates."""
    others = {
        (before, tuple((at, part) for at, part in enumerate(rest) if at not in columns))
        for before, rest in rests
    }
    # A number between date and eye may be the picture's of a patient whose number is like a date.
    many = len({other for _, other in others}) >= MIN_PATIENTS
    numbers = [
        [
            (at < before and (many or at < min(columns)), part)
            for at, part in other
            if has_digit(part)
        ]
        for before, other in others
    ]
    if not any(numbers):
        return False
    if all(any(leads or _is_no_count(part) for leads, part in own) for own in numbers):
        return True
    dates = {tuple(rest[at] for at in sorted(columns) if at < len(rest)) for _, rest in rests}
    return len(others) >= len(dates)


def _is_no_count(part: str) -> bool:
    return not part.isdigit() or len(part) > SHORT
