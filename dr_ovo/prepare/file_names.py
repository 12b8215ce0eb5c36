"""The file names of photographs in a dataset folder: `<split>/<grade>/<file name>`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dr_ovo.dataset.photograph import Photograph
from dr_ovo.errors import UserError

SHRUNKEN_SUFFIX = ".jpg"


def placed_names(photographs: Sequence[Photograph], *, shrunken: bool) -> list[str]:
    """(N,) file names: their own, prefixed with their folders where a name repeats."""

    def suffixed(name: str) -> str:
        return str(Path(name).with_suffix(SHRUNKEN_SUFFIX)) if shrunken else name

    names = [suffixed(photograph.path.name) for photograph in photographs]
    # Lower case, because some file systems ignore case. Counted over all photographs, because a
    # name must not depend on which others are dropped.
    counts = Counter(name.lower() for name in names)
    return [
        suffixed(photograph.name).replace("/", "_") if counts[name.lower()] > 1 else name
        for photograph, name in zip(photographs, names, strict=True)
    ]


def placed_ids(
    photographs: Sequence[Photograph],
    split: Mapping[int, str],
    class_names: Sequence[str] = (),
    *,
    shrunken: bool,
) -> dict[int, str]:
    """Position -> `<split>/<grade>/<file name>`, with the names of `placed_names`.

    The folder of a grade has the name of its class, where there are `class_names`. Raises UserError
    where two photographs would get the same name.
    """
    names = placed_names(photographs, shrunken=shrunken)
    ids: dict[int, str] = {}
    taken: dict[str, int] = {}
    for position, place in split.items():
        grade = photographs[position].grade
        ids[position] = f"{place}/{class_names[grade] if class_names else grade}/{names[position]}"
        if taken.setdefault(ids[position].lower(), position) != position:
            other = photographs[taken[ids[position].lower()]].name
            raise UserError(
                f"{photographs[position].name} and {other} would both become {ids[position]}: "
                "rename one."
            )
    return ids
