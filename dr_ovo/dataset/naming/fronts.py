"""Whether the first part of the names of a set is the patient, or a visit, field, site or grade.

In front of the patients there are few values, and the patients behind them repeat with each of
them (`F1_1003`, `F2_1003`) or are many. Behind a patient there are the numbers of pictures, which
begin anew with each (`P01_1`, `P02_1`), or numbers that no two pictures share.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dr_ovo.dataset.naming.passing import is_coded

MANY_BEHIND = 10  # values: fewer are no patients of a whole set
MANY_IN_ALL = 5  # values, where all names have the same in front: it is rarely all one patient
FEW_IN_FRONT = 8  # sites, grades or visits
MIN_SHARED = 1.5  # pictures of a patient on average: numbers of pictures are not shared
MIN_REPEATED = 0.2  # of the values behind, with several values in front
MIN_COUNTING = 0.8  # of the pictures
# Photographs of one patient on average, where numbers that count stand behind it: with more, it is
# a site. The place of the number tells: behind the eye it is rather the picture's.
MAX_OF_FOLDER, MAX_NEXT_TO_IT, MAX_ACROSS_EYE, MAX_OF_PERSON = 20, 40, 100, 200
MIN_OF_SITE = 20  # photographs on average, where each value behind has one value in front
MIN_PATIENTS_OF_SITES = 30
_PERSON = re.compile(r"(?:p|id|pid|pat|patient|pt|subj|subject|case)\d+", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"(?!(?:19|20)\d\d$)\D*\d{3,}\D*")  # and no year
_COUNT = re.compile(r"[a-z]?(\d{1,4})", re.IGNORECASE)

Key = tuple[str, ...]
Pair = tuple[Key, str]


@dataclass(frozen=True)
class Rows:
    """N names of a set: what stands in `front` (the parts as a key), the next part with a digit
    `behind` it ("" for none), and whether the eye is between both (`across`)."""

    front: Sequence[Key]
    behind: Sequence[str]
    across: bool
    to_eye: bool = False  # whether the part behind stands before the eye
    folders: bool = False  # whether these stand in front


def is_no_patient(rows: Rows) -> bool:
    """Whether what stands in front is clearly no patient, so that the part behind it is one."""
    pairs, behind_of, in_front_of = _related(rows)
    if 10 * len(pairs) < 9 * len(rows.front):
        return False
    fronts, values = len(behind_of), len(in_front_of)
    if len(pairs) < MIN_SHARED * values:
        return False
    repeated = _repeated(in_front_of)
    counting = _counting(behind_of, Counter(front for front, _ in pairs)) >= MIN_COUNTING
    lasts = [front[-1] for front in behind_of]
    if not rows.across and fronts > 1 and _are_coded(lasts) and not all(map(is_person, lasts)):
        return values > fronts and (repeated or not counting)
    if fronts == 1 and rows.to_eye and not is_person(lasts[0]):
        return values >= MANY_IN_ALL
    if values < MANY_BEHIND or (values < fronts and fronts < len(pairs)):
        return False
    mean = len(pairs) / fronts
    if counting:
        return values >= 2 * fronts and mean > _most_of_one(lasts, rows)
    if fronts == len(pairs):  # serial numbers of the pictures
        return all(map(_LONG_NUMBER.fullmatch, in_front_of))
    if repeated:
        return values >= 2 * fronts or all(map(_LONG_NUMBER.fullmatch, in_front_of))
    enough = MANY_BEHIND if fronts == 1 else MIN_PATIENTS_OF_SITES
    return fronts <= FEW_IN_FRONT and values >= enough and mean >= MIN_OF_SITE


def are_variants(rows: Rows) -> bool:
    """Whether a few words in front are kinds of pictures that the patients behind them have each
    (`pre_1001`, `post_1001`)."""
    pairs, behind_of, in_front_of = _related(rows)
    few = 1 < len(behind_of) <= FEW_IN_FRONT and len(pairs) == len(rows.front)
    return few and _repeated(in_front_of) and len(in_front_of) > len(behind_of)


def _related(rows: Rows) -> tuple[list[Pair], dict[Key, set[str]], dict[str, set[Key]]]:
    """The names with both parts; what is behind each part in front; and the other way round."""
    pairs = [(f, b) for f, b in zip(rows.front, rows.behind, strict=True) if f and b]
    behind_of: dict[Key, set[str]] = defaultdict(set)
    in_front_of: dict[str, set[Key]] = defaultdict(set)
    for front, behind in pairs:
        behind_of[front].add(behind)
        in_front_of[behind].add(front)
    return pairs, behind_of, in_front_of


def _repeated(in_front_of: Mapping[str, set[Key]]) -> bool:
    """Whether many of the values behind have several values in front."""
    several = sum(len(own) > 1 for own in in_front_of.values())
    return several >= MIN_REPEATED * len(in_front_of)


def _are_coded(fronts: Sequence[str]) -> bool:
    return len(fronts) <= FEW_IN_FRONT and all(is_coded(part) for part in fronts)


def is_person(part: str) -> bool:
    """Whether a part is called a patient by its letters: P12, ID7."""
    return _PERSON.fullmatch(part) is not None


def _most_of_one(fronts: Iterable[str], rows: Rows) -> int:
    """How many photographs one value in front may have on average and still be a patient."""
    if all(map(is_person, fronts)):
        return MAX_OF_PERSON
    if rows.across:
        return MAX_ACROSS_EYE
    return MAX_OF_FOLDER if rows.folders else MAX_NEXT_TO_IT


def _counting(behind_of: dict[Key, set[str]], pictures: Counter[Key]) -> float:
    """The share of the pictures whose value in front has numbers behind it that count from 0 or
    1, with few left out."""
    counting = 0
    for front, values in behind_of.items():
        counts = [match for match in map(_COUNT.fullmatch, values) if match]
        numbers = {int(match[1]) for match in counts}
        if len(counts) == len(values) and min(numbers) < 2:
            counting += pictures[front] if len(numbers) >= 0.7 * max(numbers) else 0
    return counting / pictures.total()
