"""The names that photographs get in a dataset folder: `<split>/<grade>/<file name>`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dr_ovo.dataset.photograph import Photograph
from dr_ovo.errors import UserError

SHRUNKEN_SUFFIX = ".jpg"


def placed_names(photographs: Sequence[Photograph], *, shrunken: bool) -> list[str]:
    """(N,) file names: their own, with their folders in front where names repeat."""

    def suffixed(name: str) -> str:
        return str(Path(name).with_suffix(SHRUNKEN_SUFFIX)) if shrunken else name

    names = [suffixed(photograph.path.name) for photograph in photographs]
    # Some disks hold no two names that differ in case alone. Counted over all photographs: what
    # one is called must not depend on which others are dropped.
    often = Counter(name.lower() for name in names)
    return [
        suffixed(photograph.name).replace("/", "_") if often[name.lower()] > 1 else name
        for photograph, name in zip(photographs, names, strict=True)
    ]


def placed_ids(
    photographs: Sequence[Photograph], split: Mapping[int, str], *, shrunken: bool
) -> dict[int, str]:
    """Position -> `<split>/<grade>/<file name>`, see `placed_names`.

    Raises UserError for names that can't be told apart.
    """
    names = placed_names(photographs, shrunken=shrunken)
    ids: dict[int, str] = {}
    taken: dict[str, int] = {}
    for one, place in split.items():
        ids[one] = f"{place}/{photographs[one].grade}/{names[one]}"
        if taken.setdefault(ids[one].lower(), one) != one:
            other = photographs[taken[ids[one].lower()]].name
            raise UserError(
                f"{photographs[one].name} and {other} would both become {ids[one]}: rename one."
            )
    return ids
