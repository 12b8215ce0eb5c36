"""The photographs of a run: found in its dataset, without those that can't be used."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dr_ovo.audit.measurement_cache import DESCRIPTORS, cache_folder
from dr_ovo.dataset.image_files import not_read
from dr_ovo.dataset.index import DatasetIndex, scan_dataset
from dr_ovo.dataset.words import SPLITS
from dr_ovo.errors import UserError, log
from dr_ovo.files import last_written
from dr_ovo.integrity.damaged_files import APART, examine, remaining, without
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.resume.files_begun_with import LEARNED_FROM, files_begun_with

DEBUG_IMAGES = 8  # of each grade and split


def open_dataset(
    config: TrainConfig,
    folders: Sequence[ResultsFolder],
    splits: tuple[str, ...] = SPLITS,
) -> tuple[DatasetIndex, list[Damage]]:
    """The photographs of a run that uses these results folders, and the files that are left out:
    with `--skip_damaged` those that can't be used, in a resumed training those that it left out.

    Raises UserError, listing all that can't be used, without `--skip_damaged`.
    """
    index = complete_dataset(config, splits)
    # With --resume, a finished training leaves everything as it is.
    finished = config.resume and all(folder.is_finished() for folder in folders)
    keep = not (config.dry_run or finished)
    index, damaged = examined(config, index, folders[0].root, keep=keep)
    begun = None
    if config.mode == "train" and config.resume:
        begun = files_begun_with(index, damaged, folders)
    if begun is None:
        index, left_out = usable(config, index, damaged)
    else:
        index, left_out = remaining(index, begun.left_out), begun.left_out
        if begun.damaged:
            log.warning(
                "This training began with %d damaged files, and goes on with them:\n%s",
                len(begun.damaged),
                describe(begun.damaged),
            )
    if index.others:
        log.warning("%s", not_read(index.others))
    return (_debug_subset(index) if config.debug_mode else index), left_out


def complete_dataset(config: TrainConfig, splits: tuple[str, ...] = SPLITS) -> DatasetIndex:
    """The dataset of a run, with the files that can't be used. A training with --folds needs train
    alone, and val where that has grades of its own."""
    joined = bool(config.folds) and "train" in splits
    return scan_dataset(Path(config.dataset_path), config.grades, splits, joined=joined)


def examined(
    config: TrainConfig, index: DatasetIndex, output: Path, *, keep: bool = True
) -> tuple[DatasetIndex, list[Damage]]:
    """A dataset with what its files are, and the damaged ones; warns of those that are odd, but
    whole. The verdicts go to the audit's cache (that of `output` for a dataset that can't be
    written), unless not to `keep` them."""
    paths = [path for split in index.splits.values() for path in split.paths]
    index = dataclasses.replace(index, written={path: last_written(path) for path in paths})
    cache = cache_folder(index.root, output)
    file = cache / DESCRIPTORS if cache else None
    found = examine(index, file, config.max_megapixels, keep=keep)
    if found.odd:
        log.warning("%d files are odd, but whole:\n%s", len(found.odd), describe(found.odd))
    return dataclasses.replace(index, contents=found.contents), found.damaged


def usable(
    config: TrainConfig, index: DatasetIndex, damaged: Sequence[Damage]
) -> tuple[DatasetIndex, list[Damage]]:
    """The dataset without the files that can't be used, and these. Raises UserError, listing them,
    without `--skip_damaged`."""
    in_grades = [path for path in index.others if path.parent.parent != index.root]
    unusable = [*damaged, *(Damage(path, "is not a photograph that is read") for path in in_grades)]
    if not unusable:
        return index, []
    if not config.skip_damaged:
        raise UserError(
            f"{len(unusable)} files in {index.root} can't be used:\n{describe(unusable)}\n"
            "Repair or remove them, or continue without them with --skip_damaged. "
            f"{not_read(in_grades)}".rstrip()
        )
    clean = without(index, damaged, (LEARNED_FROM,) if config.folds else APART)
    log.warning("Continuing without %d damaged files:\n%s", len(unusable), describe(unusable))
    return clean, unusable


def _debug_subset(index: DatasetIndex) -> DatasetIndex:
    """At most DEBUG_IMAGES images per grade and split."""
    splits = {}
    for name, split in index.splits.items():
        chosen = [
            np.flatnonzero(split.targets == grade)[:DEBUG_IMAGES]
            for grade in range(len(index.class_names))
        ]
        splits[name] = split.take(np.sort(np.concatenate(chosen)))
    return dataclasses.replace(index, splits=splits)
