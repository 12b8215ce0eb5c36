"""The files that a resumed training began with, whatever is known of them today.

Earlier versions passed over damage inside a file, and read fewer formats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.integrity.damaged_files import remaining
from dr_ovo.photographs.damage import Damage
from dr_ovo.results.folder import ResultsFolder

LEARNED_FROM = ("train", "val")


@dataclass(frozen=True)
class FilesBegunWith:
    """What a training left out when it began, and the damaged files that it began with."""

    left_out: list[Damage]
    damaged: list[Damage]


def files_begun_with(
    index: DatasetIndex, damaged: Sequence[Damage], folders: Sequence[ResultsFolder]
) -> FilesBegunWith | None:
    """The files with which a training in one of the `folders` began; None where none has begun, and
    where it can't go on with them, since one is missing or `damaged` beyond decoding.

    Its config.json has a hash over the files of train and val, and those that it left out.
    """
    for folder in folders:
        if not folder.has_begun():
            continue
        config = folder.read_config()
        left_out = _left_out(index, config)
        left = {damage.path for damage in left_out}
        kept = [damage for damage in damaged if damage.path not in left]
        same = remaining(index, left_out).content_hash() == config["data_hash"]
        if same and all(damage.decodes for damage in kept):
            return FilesBegunWith(left_out, kept)
    return None


def without_left_out(index: DatasetIndex, folder: ResultsFolder) -> DatasetIndex:
    """What the member of `--folds` in a folder sees of the dataset, without the files that its
    training left out, if it has begun."""
    if not folder.has_begun():
        return index
    return remaining(index, _left_out(index, folder.read_config()))


def _left_out(index: DatasetIndex, config: Mapping[str, Any]) -> list[Damage]:
    """The files of the index that config.json lists as skipped; the dataset may have moved."""
    skipped = {_place(entry["file"]): entry["reason"] for entry in config["skipped_images"]}
    return [
        Damage(path, skipped[place])
        for name, split in index.splits.items()
        for path, sample in zip(split.paths, split.sample_ids, strict=True)
        if (place := _place(f"{name}/{sample}")) in skipped
    ]


def _place(file: str) -> str:
    """The path of a file from the last folder on that has the name of a split."""
    parts = file.split("/")
    at = max((i for i, part in enumerate(parts) if part in (*LEARNED_FROM, "test")), default=0)
    return "/".join(parts[at:])
