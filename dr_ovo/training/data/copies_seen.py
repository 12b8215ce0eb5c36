"""Altered copies of val and test in the dataset on which another results folder was trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from dr_ovo.audit.measurement_cache import DESCRIPTORS, cache_folder, temporary_copy
from dr_ovo.copies.between_sets import shared_pictures
from dr_ovo.copies.descriptor_cache import describe_files
from dr_ovo.dataset.index import DatasetIndex, scan_dataset
from dr_ovo.errors import UserError
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.data.audit_gate import was_audited
from dr_ovo.training.data.seen_photographs import place_of

# Where a photograph of theirs, or another of its patient, spoils one of ours.
SEEN_IN = {"val": ("train",), "test": ("train", "val")}
SEEN_IN_HELD_OUT = {"val": ("train", "val"), "test": ("train", "val")}  # val is a fold


def copies_seen(
    index: DatasetIndex,
    other: DatasetIndex,
    folder: Path,
    max_megapixels: float,
    seen_in: Mapping[str, Sequence[str]],
    *,
    keep: bool,
) -> dict[str, list[str]]:
    """The photographs of the splits `seen_in`, by split, that the splits of the `other` dataset
    which stand there have as well, in another size, format or light.

    What is measured of the pictures is kept in the caches of both datasets' audits, if `keep`; they
    are in the results `folder` where a dataset can't be written.
    """
    ours = {
        path: (name, place_of(index.splits[name], sample))
        for name in seen_in
        if name in index.splits
        for path, sample in zip(
            index.splits[name].paths, index.splits[name].sample_ids, strict=True
        )
    }
    theirs = {path: name for name in ("train", "val") for path in other.paths([name])}
    look = partial(describe_files, max_megapixels=max_megapixels)
    with (
        _cache(index.root, folder, keep) as file,
        _cache(other.root, folder, keep) as far,
    ):
        described = look([*ours], file) | look([*theirs], far)
        shared = shared_pictures([*ours], [*theirs], described, file)
    splits, places = [*theirs.values()], [*ours.values()]
    found: dict[str, list[str]] = {}
    for picture in shared:
        there = {splits[position] for position in picture.theirs}
        for split, place in (places[position] for position in picture.ours):
            if not there.isdisjoint(seen_in[split]):
                found.setdefault(split, []).append(place)
    return found


def dataset_of(folder: ResultsFolder, *, keep: bool) -> DatasetIndex | None:
    """The dataset on which the training in a folder learned; None where its config.json does not
    name one that is still there, file by file."""
    try:
        settings = folder.read_config()["settings"]
        grades = tuple(settings["class_names"]) or tuple(map(str, range(settings["num_classes"])))
        index = scan_dataset(Path(settings["dataset_path"]), grades, joined=True)
    except (UserError, KeyError, TypeError):  # no folder of ours, or nothing where its set was
        return None
    return index if was_audited(folder, index.root, grades, keep=keep) else None


@contextlib.contextmanager
def _cache(root: Path, output: Path, keep: bool) -> Iterator[Path | None]:
    """The cache file of a dataset's audit; a copy of it, unless what is measured shall be kept."""
    location = cache_folder(root, output)
    if keep:
        yield location / DESCRIPTORS if location else None
        return
    with temporary_copy(location) as copy:
        yield copy / DESCRIPTORS
