"""Finds all damaged files of a dataset before it is used, and takes them out of the index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.errors import UserError
from dr_ovo.integrity.verdicts import verdicts_on
from dr_ovo.photographs.damage import Damage

Splits = tuple[str, ...]
APART: tuple[Splits, ...] = (("train",), ("val",))  # of which each must keep its grades


@dataclass(frozen=True)
class Findings:
    """The `damaged` files of a dataset, the `odd` ones, which are whole, each with what is odd, and
    the sha256 of each file ("" for one that can't be used)."""

    damaged: list[Damage]
    odd: list[Damage]
    contents: dict[Path, str]


def examine(
    index: DatasetIndex, cache: Path | None, max_megapixels: float, *, keep: bool = True
) -> Findings:
    """What is wrong with the files of the dataset. See `verdicts_on` for `cache` and `keep`."""
    paths = [path for split in index.splits.values() for path in split.paths]
    judged = verdicts_on(paths, cache, max_megapixels, keep=keep)
    return Findings(
        [Damage(path, v.damage, v.decodes) for path, (_, v) in judged.items() if v.damage],
        [Damage(path, v.remark) for path, (_, v) in judged.items() if v.remark and not v.damage],
        {path: sha256 for path, (sha256, _) in judged.items()},
    )


def remaining(index: DatasetIndex, damaged: Iterable[Damage]) -> DatasetIndex:
    """The index without the damaged files."""
    bad = {damage.path for damage in damaged}
    splits = {
        name: split.take(
            np.array([i for i, p in enumerate(split.paths) if p not in bad], dtype=int)
        )
        for name, split in index.splits.items()
    }
    return replace(index, splits=splits)


def without(
    index: DatasetIndex, damaged: Iterable[Damage], needed: Sequence[Splits] = APART
) -> DatasetIndex:
    """The same. Raises UserError where splits that are `needed`, those of a group together, lose a
    grade, or another one its last image."""
    clean = remaining(index, damaged)
    grouped = {name for group in needed for name in group}
    others = [(n,) for n, split in clean.splits.items() if not len(split) and n not in grouped]
    emptied = [
        " and ".join(f"{name}/{index.class_names[grade]}" for name in group)
        for group in (*needed, *others)
        for grade in sorted(_grades(index, group) - _grades(clean, group))
    ]
    if emptied:
        raise UserError(
            f"All images in {', '.join(emptied)} are damaged: none are left. Repair or replace "
            "them."
        )
    return clean


def _grades(index: DatasetIndex, group: Splits) -> set[int]:
    """The grades that splits have, of those that there are."""
    there = [index.splits[name].targets for name in group if name in index.splits]
    return {grade for targets in there for grade in targets.tolist()}
