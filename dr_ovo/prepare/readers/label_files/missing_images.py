"""Why photographs that labels name are not there: how names are spelled otherwise in the folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import PurePosixPath

from dr_ovo.dataset.image_files import IMAGE_SUFFIXES

SHOWN = 10
_SUFFIX = re.compile(r"(?:\.[a-z][a-z\d]{1,3})+$", re.IGNORECASE)
# How a name is brought to one form -> what differs where two names then agree.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "lost leading zeros": lambda name: re.sub(r"(?<!\d)0+(?=\d)", "", name),
    "a .0 at the end": lambda name: re.sub(r"\.0+$", "", name),
    "letter case": str.lower,
    "the suffix": lambda name: _SUFFIX.sub("", name),
    "the form of accented letters (NFC or NFD)": lambda name: unicodedata.normalize("NFC", name),
}


def missing_words(missing: Sequence[str], present: Iterable[str]) -> str:
    """What is to be said of the names `missing` (N,) beside the photographs `present`: how many
    differ from one of them by spelling alone, and in what."""
    names = [PurePosixPath(name).name for name in present]
    left = {name: _bare(name.replace("\\", "/").rpartition("/")[2]) for name in missing}
    # Most sets have none, and trying all combinations on 35,000 names takes seconds.
    alike = _alike(left, names, tuple(SPELLINGS))
    left = {name: bare for name, bare in left.items() if name in alike}
    said = []
    for size in range(1, len(SPELLINGS) + 1):
        for chosen in combinations(SPELLINGS, size):
            if found := _alike(left, names, chosen) if left else {}:
                example, picture = next(iter(found.items()))
                said.append(
                    f"{len(found)} of them differ from a picture there only by "
                    f"{' and '.join(chosen)} ({example} is {picture})"
                )
                left = {name: bare for name, bare in left.items() if name not in found}
    return "; ".join(said)


def _alike(left: dict[str, str], names: Sequence[str], chosen: Sequence[str]) -> dict[str, str]:
    """Missing name -> picture, where both agree once these spellings are brought to one form."""

    def form(name: str) -> str:
        for kind in chosen:
            name = SPELLINGS[kind](name)
        return name

    known = {form(_bare(name)): name for name in names}
    return {name: known[form(bare)] for name, bare in left.items() if form(bare) in known}


def _bare(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else name
