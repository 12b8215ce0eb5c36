"""What the weights that a training begins with have seen, and whether it spoils its val or test."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dr_ovo.audit.measurement_cache import DESCRIPTORS, cache_folder
from dr_ovo.copies.content_hashes import content_hashes
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.errors import LeakError, UserError, log
from dr_ovo.models.checkpoints.files import load_checkpoint
from dr_ovo.models.metadata import TOOLKIT, is_ours
from dr_ovo.models.weights.reading import FLAG, read_content
from dr_ovo.models.weights.sources import are_marked_leaky, weights_file
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.safe_files.torch_scan import pickle_mentions
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.data.copies_seen import (
    SEEN_IN,
    SEEN_IN_HELD_OUT,
    copies_seen,
    dataset_of,
)
from dr_ovo.training.data.patients_seen import SeenPatients, patients_seen, warn_of_names
from dr_ovo.training.data.seen_photographs import (
    NOTHING,
    UNKNOWN,
    SeenPhotographs,
    seen_by,
    seen_in_training,
)

EXAMPLES = 3  # names of files in a message


def history_of_weights(config: TrainConfig, folder: ResultsFolder) -> SeenPhotographs:
    """What the weights have seen that a training begins with, or goes on with in its folder.

    A folder that goes on knows it from its own checkpoints, so that the file with which it began
    may be gone. Raises UserError where a new training's file can't be read.
    """
    goes_on = folder.has_begun() and (config.resume or bool(config.pairs))
    kept = _of_checkpoints(folder) if goes_on else None
    (name,) = config.base_models
    try:
        seen = _of_file(name, config.pretrained_path, keep=not config.dry_run)
    except UserError:
        if not goes_on:
            raise
        return kept or UNKNOWN
    return seen if kept is None else kept | seen


def _of_checkpoints(folder: ResultsFolder) -> SeenPhotographs | None:
    """What the network in a folder has seen, from the first of its checkpoints that says so."""
    for path in sorted(folder.models.glob("best_*.pth")):
        with contextlib.suppress(UserError):  # a damaged one is told where it is needed
            if seen := seen_by(load_checkpoint(path).meta):
                return seen
    return None


def _of_file(timm_name: str, path: str, *, keep: bool) -> SeenPhotographs:
    """What the weights that `path` names have seen; timm's own no photographs of eyes."""
    if not path:
        return NOTHING
    file = weights_file(timm_name, path)
    content = read_content(file)
    if not is_ours(content):
        return UNKNOWN
    seen = seen_by(content) or _of_earlier_folder(ResultsFolder(file.parent.parent), keep=keep)
    if not seen.all_known:
        log.warning(
            "%s %s: it is not known which photographs this network has seen: an earlier version "
            "trained it, or it began with weights of unknown origin. If it has seen photographs of "
            "this val or test, their scores will be too good. Compare the datasets: "
            "python -m dr_ovo audit DATASET --against ITS_DATASET",
            FLAG, file,
        )  # fmt: skip
    return seen


def _of_earlier_folder(folder: ResultsFolder, *, keep: bool) -> SeenPhotographs:
    """The same for a checkpoint that does not say it, from the dataset that its config.json names,
    if that is still, file by file, the one of then."""
    index = dataset_of(folder, keep=keep)
    if index is None:
        return UNKNOWN
    cache = cache_folder(index.root, folder.root)
    file = cache / DESCRIPTORS if cache else None
    contents = content_hashes(index.paths(["train", "val"]), file, keep=keep)
    seen = seen_in_training(index, contents)
    began_with = folder.read_config()["settings"].get("pretrained_path")
    return seen | UNKNOWN if began_with else seen


def check_weights(
    config: TrainConfig,
    seen: SeenPhotographs,
    index: DatasetIndex,
    contents: Mapping[Path, str],
    before: Mapping[str, Any],
    *,
    held_out: bool = False,
) -> dict[str, Any]:
    """What the audit says of the weights: whether they are leaky, the photographs of val and test
    that they have `seen`, and those of whose patients they have seen others, by split, and whether
    more may be unknown. `contents`: the sha256 of the
    dataset's files; `before`: the audit with which a training began that goes on, whose marks stay.
    `held_out`: val is the fold that a member holds out, and is judged on like test.

    Raises LeakError for photographs and patients that they have seen, unless `--allow_leaks`; warns
    of patients of whom only the names are the same.
    """
    spoiled = seen.files_of(index, contents, held_out=held_out)
    copies, patients = _of_their_dataset(config, index, held_out=held_out)
    spoiled = {
        name: [*dict.fromkeys([*spoiled.get(name, []), *copies.get(name, [])])]
        for name in index.splits
        if name in spoiled or name in copies
    }
    known = patients.counts() if patients.certain else {}
    if spoiled and not config.allow_leaks:
        raise LeakError(_message(config, index, spoiled))
    if known and not config.allow_leaks:
        raise LeakError(_message_of_patients(config, index, patients))
    if patients.photographs and not known:
        warn_of_names(patients, index, config.pretrained_path)
    marked = are_marked_leaky(config.base_models[0], config.pretrained_path)
    counts = {name: len(files) for name, files in spoiled.items()}
    return {
        "leaky_weights": marked or bool(before.get("leaky_weights")),
        "weights_have_seen": {**before.get("weights_have_seen", {}), **counts},
        "weights_have_seen_patients": {**before.get("weights_have_seen_patients", {}), **known},
        "weights_known": seen.all_known,
    }


def _of_their_dataset(
    config: TrainConfig, index: DatasetIndex, *, held_out: bool
) -> tuple[dict[str, list[str]], SeenPatients]:
    """The photographs of val and test of which the weights have seen altered copies, and those of
    whose patients they have seen others, as far as the dataset that they were trained on is still
    where it was."""
    folder, keep = _folder_of_weights(config), not config.dry_run
    other = dataset_of(folder, keep=keep) if folder else None
    # The same dataset is audited by itself.
    if folder is None or other is None or other.root.resolve() == index.root.resolve():
        return {}, SeenPatients({}, certain=False)
    seen_in = SEEN_IN_HELD_OUT if held_out else SEEN_IN
    copies = copies_seen(index, other, folder.root, config.max_megapixels, seen_in, keep=keep)
    return copies, patients_seen(index, other, seen_in)


def _folder_of_weights(config: TrainConfig) -> ResultsFolder | None:
    """Where a checkpoint of this toolkit lies that a training begins with; None without one."""
    try:
        file = weights_file(config.base_models[0], config.pretrained_path)
        named = bool(config.pretrained_path) and pickle_mentions(file, TOOLKIT.encode())
        ours = named and is_ours(read_content(file))
    except UserError:  # a training goes on whose file is gone
        return None
    return ResultsFolder(file.parent.parent) if ours else None


def _message(config: TrainConfig, index: DatasetIndex, spoiled: Mapping[str, list[str]]) -> str:
    counts = " and ".join(
        f"{len(files)} of the {len(index.splits[name])} photographs of {index.splits[name].name}"
        for name, files in spoiled.items()
    )
    files = [file for found in spoiled.values() for file in found]
    named = ", ".join(files[:EXAMPLES]) + ", ..." * (len(files) > EXAMPLES)
    return (
        f"{FLAG} {config.pretrained_path}: these weights have seen {counts} in {index.root} "
        f"({named}), or copies of them, when they were trained or their epoch was chosen: scores "
        "there would be too good. Nothing was started.\n"
        "Begin with weights that were trained without them. Or make a dataset without what the "
        f"weights saw: python prepare_dataset.py --from_tree {index.root} --exclude THEIR_DATASET "
        "--output FOLDER. Or train as it is, with --allow_leaks (every result, report and "
        "checkpoint is then marked LEAKY)."
    )


def _message_of_patients(config: TrainConfig, index: DatasetIndex, patients: SeenPatients) -> str:
    return (
        f"{FLAG} {config.pretrained_path}: these weights have seen other photographs of the "
        f"patients of {patients.said(index)}, by the manifests of both datasets, when they were "
        "trained or their epoch was chosen: scores there would be too good. Nothing was started.\n"
        "Begin with weights that were trained without these patients. Or train as it is, with "
        "--allow_leaks (every result, report and checkpoint is then marked LEAKY)."
    )
