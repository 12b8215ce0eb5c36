"""Opening trained networks and running them on photographs, as their checkpoints specify."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dr_ovo.batches.loader import ImageLoader
from dr_ovo.choices import NO_STEPS
from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.heads import head_of
from dr_ovo.distributed.division import batch_shares
from dr_ovo.distributed.ranks import ALONE, Ranks
from dr_ovo.errors import UserError, log
from dr_ovo.inference.finite_logits import require_finite
from dr_ovo.models.checkpoints.assembly import load_network
from dr_ovo.models.checkpoints.files import find_checkpoints, fitted_of, input_of
from dr_ovo.models.network import OvoNetwork
from dr_ovo.outputs import MEASURE_BATCH, branch_outputs
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import Seals, joint_seals, seals_of
from dr_ovo.settings.command_line import Settings
from dr_ovo.settings.recipe import of_recipes
from dr_ovo.settings.train_config import DECODING, TrainConfig
from dr_ovo.training.setup import trained_folders

TRIES = 3  # to read checkpoints that a training replaces meanwhile


@dataclass(frozen=True)
class TrainedModel:
    """A network with its checkpoints' metadata and its results folder."""

    network: OvoNetwork
    meta: dict[str, Any]
    folder: ResultsFolder
    seals: Seals  # of its checkpoints, as they were when they were read


def open_network(
    folder: ResultsFolder, paths: Sequence[Path] | None, name: str | None = None
) -> tuple[OvoNetwork, dict[str, Any], Seals]:
    """The network of the checkpoints at `paths`, by default those of `name` in a folder, its
    metadata, and its seals. Raises UserError where it can't be read, also while a training goes on
    to replace it."""
    for _ in range(TRIES):
        seals = seals_of(folder)
        files = find_checkpoints(folder.models, name) if paths is None else list(paths)
        network, meta = load_network(files)
        if seals == seals_of(folder):
            return network, meta, {path.name: seals[path.name] for path in files}
    raise UserError(
        f"The checkpoints in {folder.models} are being replaced faster than they can be read. Give "
        "the same command again when the training has ended."
    )


def seals_of_models(models: Sequence[TrainedModel]) -> Seals:
    """The seals of all checkpoints of several models."""
    return joint_seals([(model.folder, model.seals) for model in models])


def open_models(settings: Settings, device: torch.device) -> list[TrainedModel]:
    """The trained networks that `--base_models` and `--output_dir` name, built without internet.

    Raises UserError if one is missing or incomplete, or if a flag contradicts a checkpoint.
    """
    models = []
    for name, folder in trained_folders(settings.config).items():
        network, meta, seals = open_network(folder, None, name)
        require_agreement(settings, meta, folder)
        if folder.progress.is_file() and not folder.is_finished():
            done = folder.finished_epochs()
            log.warning(
                "%s is unfinished: using what it has kept after %d epochs.", folder.root, done
            )
        models.append(TrainedModel(network.to(device), meta, folder, seals))
    _require_same_classes(models)
    return models


def require_agreement(settings: Settings, meta: dict[str, Any], folder: ResultsFolder) -> None:
    """Raises UserError if an explicitly given value differs from the checkpoint's."""
    _, preprocessing = input_of(meta)
    stored = {
        "img_size": meta["input"]["size"],
        "preprocessing": preprocessing.steps or (NO_STEPS,),
        "enable_clahe": preprocessing.clahe,
        "clahe_clip_limit": preprocessing.clahe_clip_limit if preprocessing.clahe else None,
        "clahe_tile_grid_size": preprocessing.clahe_tile_grid_size if preprocessing.clahe else None,
        "num_classes": meta["num_classes"],
        "class_names": tuple(meta["class_names"]),
        "tta_views": meta["tta_views"],
        "head": meta["head"],
        "ovo_mode": meta["ovo_mode"],
    }
    given = settings.given()
    if given.get("img_size") == 0:  # "the architecture's own" requests nothing
        del stored["img_size"]
    if given.get("preprocessing") == ():  # as --enable_clahe says
        del stored["preprocessing"]
    wrong = [
        f"--{name} {_shown(given[name])}: the checkpoint has {_shown(value)}"
        for name, value in stored.items()
        if name in given and value is not None and given[name] != value
    ]
    if wrong:
        flags = "\n  ".join(wrong)
        raise UserError(
            f"These flags contradict the checkpoints in {folder.models}:\n  {flags}\n"
            "Omit them: input and preprocessing come from the checkpoint."
            f"{of_recipes(flags, settings.recipes, settings.sources)}"
        )


def with_decoding_of(settings: Settings, folder: ResultsFolder, head: str = "") -> TrainConfig:
    """The settings with the decoder and the prior correction that a model was trained with, where
    they are not given: a recipe sets them for training and evaluation alike. Nothing is corrected
    of a `head` (by default that of the folder's config.json) that answers with a number."""
    config = _as_trained(settings, folder)
    if not head and folder.config.is_file():
        head = folder.read_config()["settings"].get("head", "")
    if not head or can_be_corrected(head):
        return config
    return dataclasses.replace(config, prior_correction=False)


def _as_trained(settings: Settings, folder: ResultsFolder) -> TrainConfig:
    given, config = settings.given(), settings.config
    if not folder.config.is_file():
        return config
    trained_with = folder.read_config()["settings"]
    taken = {
        name: trained_with[name] for name in DECODING if name not in given and name in trained_with
    }
    return dataclasses.replace(config, **taken)


def can_be_corrected(head: str) -> bool:
    """Whether it is known what class weights or sampling add to the answers of a head."""
    return not head_of(head).is_number


def say_uncorrected(settings: Settings, models: Sequence[TrainedModel]) -> None:
    """Says of which models --prior_correction corrects nothing."""
    for model in models:
        asked = _as_trained(settings, model.folder).prior_correction
        if asked and not can_be_corrected(model.meta["head"]):
            log.warning(
                "--prior_correction does nothing for %s: what class weights or sampling added to "
                "the number that its head answers with is not known.",
                model.folder.root,
            )


def fitted_for(model: TrainedModel, *, corrected: bool) -> Fitted:
    """What was fitted for decoding a model's logits; `corrected`: what class weights added to them
    in training is taken from them.

    Raises UserError for a model of an earlier version, which did not record that.
    """
    fitted = fitted_of(model.meta, model.folder.models)
    if not corrected:
        return fitted
    shift = model.meta["prior_shift"]
    if shift is None:
        raise UserError(
            f"--prior_correction: {model.folder.models} was trained by an earlier version, which "
            "did not record the weights of the classes. Leave it out, or train again."
        )
    return dataclasses.replace(fitted, prior_shift=tuple(shift))


def pair_accuracy(model: TrainedModel) -> np.ndarray | None:
    """(P,) val accuracies, for the `weighted` decoder; None for a head without pairs."""
    if not head_of(model.meta["head"]).paired:
        return None
    return np.array(model.meta["pair_accuracy"], dtype=np.float64)


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _require_same_classes(models: Sequence[TrainedModel]) -> None:
    first = models[0]
    for other in models[1:]:
        if other.meta["class_names"] != first.meta["class_names"]:
            raise UserError(
                f"{first.folder.root} and {other.folder.root} have different classes: "
                f"{first.meta['class_names']} and {other.meta['class_names']}. Evaluate them apart."
            )


@dataclass(frozen=True)
class PhotographLogits:
    """Logits (n, K) and quality (n,) (NaN: unknown) of the photographs at `positions` (n,); the
    damage of the others by position; the positions of those that were written meanwhile."""

    positions: np.ndarray
    logits: np.ndarray
    quality: np.ndarray
    damaged: dict[int, str]
    changed: tuple[int, ...]


def predict(
    model: TrainedModel, loader: ImageLoader, device: torch.device, ranks: Ranks = ALONE
) -> PhotographLogits:
    """The logits of all branches side by side, for every file of the loader that can be read.

    Of several ranks each computes its share; all of them get all. Raises MachineError for logits
    that are not finite.
    """
    count = len(loader.paths)
    own = batch_shares(count, MEASURE_BATCH, ranks.index, ranks.count)
    positions = np.concatenate([np.arange(count)[rows] for rows in own] or [np.arange(0)])
    batches = loader.batches(positions, MEASURE_BATCH)
    found = logits_of(model, batches, device, ranks, paths=loader.paths)
    facts = ranks.gather((loader.damaged, loader.quality, loader.changed))
    damaged = {position: why for each, _, _ in facts for position, why in each.items()}
    quality = {position: score for _, each, _ in facts for position, score in each.items()}
    changed = tuple(sorted(set().union(*(each for _, _, each in facts))))
    if found is None:
        none = np.zeros(0, dtype=np.int64)
        return PhotographLogits(none, np.zeros((0, 0)), np.zeros(0), damaged, changed)
    scores = np.array([quality.get(position, np.nan) for position in found[0].tolist()])
    return PhotographLogits(*found, scores, damaged, changed)


def logits_of(
    model: TrainedModel,
    batches: Iterable[tuple[np.ndarray, torch.Tensor]],
    device: torch.device,
    ranks: Ranks = ALONE,
    *,
    paths: Sequence[Path] | None = None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """The positions (n,) of the images of all batches, whose files are `paths`, and the logits
    (n, K) of all branches side by side; None without any. Raises MachineError for logits that are
    not finite."""
    spec, _ = input_of(model.meta)
    names = list(model.network.branches)
    views = model.meta["tta_views"]
    wanted: dict[str, np.ndarray | None] = dict.fromkeys(names)
    outputs = branch_outputs(model.network, batches, spec, device, wanted, views, ranks)
    if not outputs:
        return None
    logits = np.concatenate([outputs[name].logits for name in names], axis=1)
    positions = outputs[names[0]].positions
    require_finite(model.folder, positions, logits, paths)
    return positions, logits
