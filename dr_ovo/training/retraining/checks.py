"""Whether `--pairs` may retrain classifiers of a finished network; which settings may differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.errors import UserError, log
from dr_ovo.models.checkpoints.files import checkpoint_path
from dr_ovo.pairs import Pair, pair_name
from dr_ovo.results.folder import RETRAINING, ResultsFolder
from dr_ovo.results.training_files import check_training_files, require_whole_checkpoints
from dr_ovo.settings.option import Fixed
from dr_ovo.settings.train_config import DECODING, FIELDS, TrainConfig, fixed_values
from dr_ovo.training.data.audit_gate import pictures_replaced
from dr_ovo.training.resume.folder_checks import check_same_pictures, check_same_settings

# Options that may differ and still give the same weights.
EFFECTLESS = {name for name, field in FIELDS.items() if field.metadata["fixed"] < Fixed.IN_WEIGHTS}


def is_retraining(config: TrainConfig, folder: ResultsFolder) -> bool:
    """Whether `--pairs` is given for a folder with a finished network."""
    return bool(config.pairs) and folder.is_finished()


def retraining_is_done(
    config: TrainConfig, index: DatasetIndex, complete: DatasetIndex, folder: ResultsFolder
) -> bool:
    """Whether `--resume` finds the pairs already retrained with these settings; `complete` has the
    files that `index` leaves out, too.

    Raises UserError if new classifiers could not join the network or would equal the old ones.
    """
    check_training_files(folder)
    _require_joinable(config, folder)
    require_whole_checkpoints(folder)
    keep = not config.dry_run
    work = work_folder(folder)
    if work.has_begun():
        alternative = f"remove {work.root} and retrain from scratch"
        check_same_settings(work, _of_a_retraining(config), index.content_hash(), alternative)
        check_same_pictures(work, pictures_replaced(work, complete, keep=keep), alternative)
        return False
    repeated = [pair for pair in config.trained_pairs if _would_repeat(config, index, folder, pair)]
    if not repeated or pictures_replaced(folder, complete, keep=keep):
        return False
    if config.resume and repeated == config.trained_pairs:
        log.info("%s is finished: nothing to do.", folder.root)
        return True
    names = " ".join(f"{a}-{b}" for a, b in repeated)
    raise UserError(
        f"Nothing has changed: training {names} again would give the same weights. Change "
        "--seed, --epochs, --learning_rate, the loss or the augmentation."
    )


def _require_joinable(config: TrainConfig, folder: ResultsFolder) -> None:
    stored = folder.read_config()["settings"]
    differing = [
        f"--{name}: {stored.get(name)} there, {value} now"
        for name, value in fixed_values(config, Fixed.IN_A_NETWORK).items()
        if stored.get(name) != value
    ]
    if differing:
        raise UserError(
            f"A classifier that joins {folder.root} must share:\n  " + "\n  ".join(differing) + "\n"
            "Seed, epochs, learning rates, loss and augmentation may differ; to change these, "
            "train a new network in another --output_dir."
        )


def _would_repeat(
    config: TrainConfig, index: DatasetIndex, folder: ResultsFolder, pair: Pair
) -> bool:
    """Whether the pair's classifier exists and was trained with these settings on these images,
    originally or in a retraining, including one whose result was not kept."""
    stored = folder.read_config()
    tried = [_trial({}, stored["data_hash"])]
    tried += [
        _trial(entry["settings"], entry["data_hash"])
        for entry in stored["retrained"]
        if entry["pair"] == list(pair)
    ]
    now = _trial(changed_settings(config, stored["settings"]), index.content_hash())
    return pair_checkpoint(config, folder, pair).is_file() and now in tried


def changed_settings(config: TrainConfig, stored: dict[str, Any]) -> dict[str, Any]:
    """The settings that differ from the network's stored ones."""
    now = _of_a_retraining(config)
    return {name: value for name, value in now.items() if stored.get(name) != value}


def _of_a_retraining(config: TrainConfig) -> dict[str, Any]:
    """The settings that new classifiers are trained by; the network is decoded as it was."""
    values = fixed_values(config, Fixed.IN_A_RUN)
    return {name: value for name, value in values.items() if name not in DECODING}


def _trial(changed: dict[str, Any], data_hash: str) -> tuple[dict[str, Any], str]:
    """Those of the changed settings that decide the weights, and the data."""
    return {name: value for name, value in changed.items() if name not in EFFECTLESS}, data_hash


def work_folder(folder: ResultsFolder) -> ResultsFolder:
    """The results folder of classifiers of `folder` that are being retrained."""
    return ResultsFolder(folder.root / RETRAINING)


def pair_checkpoint(config: TrainConfig, folder: ResultsFolder, pair: Pair) -> Path:
    """The checkpoint of a pair in a results folder."""
    return checkpoint_path(folder.models, config.base_models[0], pair_name(pair))
