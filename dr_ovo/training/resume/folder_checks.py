"""Whether a results folder may take a new training, or resume its own with these settings."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.results.folder import FOLDS_FILE, LATER_SETTINGS, ResultsFolder
from dr_ovo.settings.command_line import DEFAULT
from dr_ovo.settings.option import Fixed
from dr_ovo.settings.recipe import recipe_names, source_of
from dr_ovo.settings.train_config import DECODING, FIELDS, TrainConfig, fixed_values
from dr_ovo.training.resume.state import NOTHING_KEPT


def check_folder(folder: ResultsFolder, *, resume: bool) -> None:
    """Raises UserError if a new training would collide with another one in the folder."""
    root = folder.root
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file; --output_dir expects a folder.")
    left = folder.previous.is_file() or any(folder.models.glob("*.pth"))
    if not folder.progress.is_file() and left:
        raise UserError(
            f"{folder.root} holds checkpoints or states, but {folder.resume} lacks the training "
            "that made them. Choose another --output_dir."
        )
    _check_nothing_is_lost(folder)
    if folder.has_begun() and not resume:
        state = "a finished training" if folder.is_finished() else "a training that was stopped"
        raise UserError(
            f"{root} holds {state} ({folder.finished_epochs()} finished epochs). To resume it, use "
            "the same command with --resume; to start from scratch, another --output_dir."
        )


def check_no_division(folder: ResultsFolder) -> None:
    """Raises UserError if a folder for a training without `--folds` holds the members of one."""
    if (folder.root / FOLDS_FILE).is_file():
        raise UserError(
            f"{folder.root} holds a cross-validation, whose members are in fold_1, fold_2 and so "
            "on. To resume it, give --folds as before; to train a network of all images, another "
            "--output_dir."
        )


def check_undivided(folder: ResultsFolder) -> None:
    """Raises UserError if a folder for a new cross-validation holds a training without one."""
    check_folder(folder, resume=True)
    if folder.has_begun():
        raise UserError(
            f"{folder.root} holds a training without --folds. To resume that, leave --folds out; "
            "for a cross-validation, give another --output_dir."
        )


def _check_nothing_is_lost(folder: ResultsFolder) -> None:
    """Raises UserError if progress.json knows of no epoch, but the folder has more than what a
    training leaves that was stopped in its first one: a new training would delete it.

    A checkpoint of the first epoch may be of a finished training; the mark tells.
    """
    if not folder.progress.is_file() or folder.has_begun():
        return
    progress = folder.read_progress()
    more = [
        bool(progress["finished"] or progress.get("branches")),
        folder.previous.is_file() or folder.validated.is_file(),
        folder.evaluation("test").is_file() or folder.predictions("test").is_file(),
        any(int(row["epoch"]) > 1 for row in folder.read_history(sys.maxsize)),
        any(one.get("epoch", 0) > 1 for one in folder.read_descriptors().values()),
        any(folder.models.glob("best_*")) and not (folder.resume / NOTHING_KEPT).is_file(),
    ]
    if any(more):
        raise UserError(
            f"{folder.progress} says that no epoch is finished, but {folder.root} holds what a "
            "later one leaves. Restore that file, or choose another --output_dir."
        )


def with_defaults_of(
    folder: ResultsFolder, config: TrainConfig, sources: dict[str, str]
) -> tuple[TrainConfig, dict[str, str]]:
    """The settings to go on with in a folder, and where each came from: an option that is nobody's
    choice, neither now nor when the training began, keeps its value there. So a training goes on
    after a later version has changed a default, or a recipe of this package."""
    stored = folder.read_config()
    written = stored.get("sources")
    began = dict.fromkeys(LATER_SETTINGS, DEFAULT) | (written if isinstance(written, dict) else {})
    nobodys = {DEFAULT, *(source_of(name) for name in recipe_names())}
    changed: dict[str, Any] = {}
    for name, field in FIELDS.items():
        now, source = getattr(config, name), sources[name]
        # A value that is not the default follows from others, as the size from the architecture.
        followed = source == DEFAULT and now != field.default
        if source != began.get(name) or source not in nobodys or followed:
            continue
        value = stored["settings"].get(name)
        value = tuple(value) if isinstance(value, list) else value
        if field.metadata["fixed"] > Fixed.NEVER and type(value) is type(now) and value != now:
            changed[name] = value
    said = {name: f"{sources[name]} when it began" for name in changed}
    return dataclasses.replace(config, **changed), sources | said


def check_same_preprocessing(folder: ResultsFolder, now: str) -> None:
    """Raises UserError if this version prepares photographs otherwise than the one that began the
    training in a folder."""
    stored = folder.read_config().get("preprocessing_hash", now)
    if stored != now:
        raise UserError(
            f"{folder.root} was trained on photographs that were prepared otherwise "
            f"(preprocessing_hash {stored} there, {now} now). Resume with the dr_ovo version in "
            "its config.json, or train from scratch in another --output_dir."
        )


def check_same_settings(
    folder: ResultsFolder,
    settings: dict[str, Any],
    data_hash: str,
    alternative: str = "start from scratch in another --output_dir",
) -> None:
    """Raises UserError, naming them, if settings that matter differ from the folder's.

    `alternative` is what the user can do instead of resuming.
    """
    if differing := differing_settings(folder, settings):
        others = {name: value for name, value in settings.items() if name not in DECODING}
        if not differing_settings(folder, others):
            alternative = "give others to --mode evaluate, which needs no training for them"
        raise UserError(
            f"{folder.root} was made with other settings:\n  " + "\n  ".join(differing) + "\n"
            f"Resume with the settings there, or {alternative}."
        )
    if folder.read_config()["data_hash"] != data_hash:
        raise UserError(
            f"{folder.root} was trained on other images (or other grades) than --dataset_path now "
            f"has in train and val. Restore them, or {alternative}."
        )


def differing_settings(folder: ResultsFolder, settings: Mapping[str, Any]) -> list[str]:
    """Which `settings` a folder's training does not have, each in words."""
    before = folder.read_config()["settings"]
    return [
        f"--{name}: {_shown(before.get(name))} there, {_shown(value)} now"
        for name, value in settings.items()
        if before.get(name) != value
    ]


def unlike_a_member(folder: ResultsFolder, settings: Mapping[str, Any]) -> list[str]:
    """Which `settings` another member of the same `--folds`, in a folder, does not share, each in
    words. Members begin with weights of their own, all of them or none."""
    names = set(fixed_values(TrainConfig(), Fixed.IN_A_RUN)) - {"fold", *DECODING}
    shared = {name: value for name, value in settings.items() if name in names}
    if folder.read_config()["settings"].get("pretrained_path") and shared["pretrained_path"]:
        del shared["pretrained_path"]
    return differing_settings(folder, shared)


def check_same_pictures(
    folder: ResultsFolder,
    replaced: str,
    alternative: str = "start from scratch in another --output_dir",
) -> None:
    """Raises UserError if pictures were `replaced`, which names their splits ("" for none)."""
    if replaced:
        raise UserError(
            f"{folder.root} was trained on other pictures than --dataset_path now has in "
            f"{replaced}: some were replaced under their names. Restore them, or {alternative}."
        )


def _shown(value: Any) -> str:
    return (
        (" ".join(map(str, value)) or "nothing") if isinstance(value, list | tuple) else str(value)
    )
