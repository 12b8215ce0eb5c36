"""Altered copies of val and test in the dataset on which another results folder was trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
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

SEEN_IN = {"val": ("train",), "test": ("train", "val")}  # where a copy of theirs spoils one of ours
SEEN_IN_HELD_OUT = {"val": ("train", "val"), "test": ("train", "val")}


def copies_seen(
    index: DatasetIndex,
    folder: ResultsFolder,
    max_megapixels: float,
    *,
    held_out: bool = False,
    keep: bool,
) -> dict[str, list[str]]:
    """The photographs of val and test, by split, that the dataset of the training in another folder
    has as well, in another size, format or light; none where that dataset is gone or has changed.
    `held_out`: val is a fold that is judged on like test.

    What is measured of the pictures is kept in the caches of both datasets' audits, if `keep`.
    """
    other = dataset_of(folder, keep=keep)
    if other is None or other.root.resolve() == index.root.resolve():  # which is audited by itself
        return {}
    seen_in = SEEN_IN_HELD_OUT if held_out else SEEN_IN
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
        _cache(index.root, folder.root, keep) as file,
        _cache(other.root, folder.root, keep) as far,
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
