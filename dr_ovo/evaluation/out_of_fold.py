"""Out of fold: each picture of train and val, by the member that did not see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.decoded.processes.file_workers import shared_workers
from dr_ovo.decoding.decoders import Fitted, decode
from dr_ovo.decoding.expected_grade import expected_grade, fit_thresholds, grade_of
from dr_ovo.decoding.fitting import fit_number
from dr_ovo.decoding.heads import EXPECTED, head_of
from dr_ovo.decoding.tempering import temper
from dr_ovo.errors import UserError, log
from dr_ovo.evaluation.evaluation import marks
from dr_ovo.evaluation.split_predictions import predict_split
from dr_ovo.inference.trained_model import TrainedModel, open_network
from dr_ovo.models.checkpoints.files import input_of
from dr_ovo.predictions.calibration import fit_temperature
from dr_ovo.predictions.predictions_file import PER_SAMPLE, Predictions, marks_of
from dr_ovo.predictions.same_answer import stopped_members
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.data.fold_division import (
    FoldDivision,
    held_out_split,
    load_division,
    require_division,
)
from dr_ovo.training.data.loading import decodable
from dr_ovo.training.data.opening import open_dataset
from dr_ovo.training.setup import choose_device, fold_folder

TRAINED_ON = ("train", "val")


@dataclasses.dataclass(frozen=True, eq=False)
class OutOfFold:
    """The predictions on train and val, each fold decoded by what was fitted on the others.

    `fitted` is what all folds together give (None: nothing was fitted), and `probabilities` (N, C)
    are what it makes of the logits. `stopped`: the members that have stopped learning.
    """

    predictions: Predictions
    fitted: Fitted | None
    probabilities: np.ndarray
    stopped: tuple[str, ...] = ()


def member_folders(config: TrainConfig) -> list[ResultsFolder]:
    """The results folders of the members, in the order of their folds."""
    root = Path(config.output_dir)
    return [ResultsFolder(fold_folder(root, fold)) for fold in range(1, config.folds + 1)]


def open_member(folder: ResultsFolder, device: torch.device) -> TrainedModel:
    """A member's network. Raises UserError where it is missing or damaged."""
    if not any(folder.models.glob("best_*.pth")):
        raise UserError(
            f"{folder.root} is finished, but {folder.models} has lost its checkpoint. Restore it; "
            f"or delete {folder.root} and train it again, by the same command with --resume."
        )
    network, meta, seals = open_network(folder, None)
    return TrainedModel(network.to(device), meta, folder, seals)


def predict_out_of_fold(config: TrainConfig) -> OutOfFold:
    """What each member says of the fold that it holds out.

    Raises UserError where the dataset is not the one that was divided, and for members that are
    missing.
    """
    config = dataclasses.replace(config, mode="evaluate", resume=False)
    device = choose_device(config)
    folders = member_folders(config)
    with shared_workers(processes=config.num_workers > 0):
        index, _ = open_dataset(config, folders[:1], TRAINED_ON)
    root = Path(config.output_dir)
    stored = load_division(root)
    assert stored is not None
    division = require_division(stored, index, config.folds, root)
    parts: list[Predictions] = []
    for fold, folder in enumerate(folders, 1):
        model = open_member(folder, device)
        if not parts:  # all members have one input
            preprocessing, leave_out = input_of(model.meta)[1], config.skip_damaged
            index, _ = decodable(
                config, index, preprocessing, TRAINED_ON, leave_out=leave_out, needed=(TRAINED_ON,)
            )
        parts.append(_predict_fold(model, index, division, fold, device, config))
    names = [folder.root.name for folder in folders]
    stopped = stopped_members(zip(names, parts, strict=True))
    return dataclasses.replace(join(parts), stopped=tuple(stopped))


def _predict_fold(
    model: TrainedModel,
    index: DatasetIndex,
    division: FoldDivision,
    fold: int,
    device: torch.device,
    config: TrainConfig,
) -> Predictions:
    split = held_out_split(index, division, fold)
    own = dataclasses.replace(index, splits={split.name: split})
    log.info("out of fold: %s, %d images", split.name, len(split))
    # Of val the member has seen the other folds, which it is not judged on.
    marked = marks(model, dataclasses.replace(index, splits={"val": split}))
    return predict_split(model, own, split.name, device, config, marked)


def join(parts: Sequence[Predictions]) -> OutOfFold:
    """The predictions of the folds as one, by sample id."""
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in PER_SAMPLE
    }
    folds = np.repeat(np.arange(1, len(parts) + 1), [len(part.targets) for part in parts])
    order = np.argsort(arrays["sample_ids"])
    arrays, folds = {name: values[order] for name, values in arrays.items()}, folds[order]
    marked = np.array(marks_of([], parts), np.str_)
    return decoded_across(dataclasses.replace(parts[0], **arrays, marks=marked), folds)


def decoded_across(whole: Predictions, folds: np.ndarray) -> OutOfFold:
    """Out-of-fold predictions, with the fold (N,) of each sample, decoded: where grades come from
    the expected one, those of a fold by what was fitted on the others."""
    if whole.decoder != EXPECTED:
        return OutOfFold(whole, None, whole.probabilities)
    predicted, probabilities = whole.predicted.copy(), whole.probabilities.copy()
    for fold in np.unique(folds):
        own = folds == fold
        predicted[own], probabilities[own] = _decoded(whole, own, _fit(whole, ~own))
    crossed = dataclasses.replace(whole, predicted=predicted, probabilities=probabilities)
    everywhere = np.ones(len(folds), dtype=bool)
    fitted = _fit(whole, everywhere)
    _, joint = _decoded(whole, everywhere, fitted)
    return OutOfFold(crossed, fitted if head_of(whole.head).is_number else None, joint)


def _fit(whole: Predictions, chosen: np.ndarray) -> Fitted:
    """What gives grades from the expected one, fitted on the samples where (N,) bool is true."""
    targets, probabilities = whole.targets[chosen], whole.probabilities[chosen]
    if head_of(whole.head).is_number:
        return fit_number(whole.logits[chosen], targets, whole.num_classes)
    temperature = fit_temperature(targets, probabilities)
    values = expected_grade(temper(probabilities, temperature))
    return Fitted(None, fit_thresholds(values, targets, whole.num_classes), temperature)


def _decoded(
    whole: Predictions, chosen: np.ndarray, fitted: Fitted
) -> tuple[np.ndarray, np.ndarray]:
    """Grades (n,) and probabilities (n, C) of some of the samples."""
    if head_of(whole.head).is_number:
        logits = whole.logits[chosen]
        return decode(whole.head, logits, whole.num_classes, EXPECTED, fitted=fitted)
    probabilities = whole.probabilities[chosen]
    values = expected_grade(temper(probabilities, fitted.temperature))
    return grade_of(values, whole.num_classes, fitted.thresholds), probabilities
