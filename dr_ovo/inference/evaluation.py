"""`--mode evaluate`: predictions, calibration and metrics of trained networks on val and test."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dr_ovo.dataset.image_files import not_read
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.decoded.processes.file_workers import shared_workers
from dr_ovo.decoding.decoders import DECODERS, decode
from dr_ovo.distributed.launch import Launch
from dr_ovo.distributed.ranks import Ranks
from dr_ovo.ensembles.combination import mean_predictions
from dr_ovo.errors import log
from dr_ovo.files import write_json
from dr_ovo.inference.audit_blocks import audit_blocks, joint_audit_blocks
from dr_ovo.inference.split_predictions import pair_accuracy, predict_split
from dr_ovo.inference.statistics_only import TEST_ALONE, unknown
from dr_ovo.inference.trained_model import TrainedModel, open_models
from dr_ovo.models.checkpoint import input_of
from dr_ovo.photographs.damage import Damage
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.calibration_file import save_calibration
from dr_ovo.predictions.metrics import accuracy, balanced_accuracy, quadratic_kappa
from dr_ovo.predictions.predictions_file import Predictions, marks_of, save_predictions
from dr_ovo.results.evaluation_file import evaluation_report, patient_report
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.command_line import Settings
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.data.loading import check_cache, decodable
from dr_ovo.training.data.opening import open_dataset
from dr_ovo.training.setup import choose_device, joint_folder
from dr_ovo.writable import check_writable_folder

BySplit = dict[str, Predictions]
SPLITS = ("val", "test")


@dataclass(frozen=True)
class Evaluation:
    """One model's report on test, its point metrics under each decoder, and a sentence that counts
    the files that were not read ("" for none)."""

    title: str
    folder: Path
    report: dict[str, Any]
    decoders: dict[str, dict[str, Any]]
    not_read: str = ""


def evaluate(settings: Settings, launch: Launch) -> list[Evaluation]:
    """Evaluates every model, and the mean of several; writes to their results folders.

    Of several ranks each predicts its share, and the first writes; the others return nothing.
    Nothing is selected on test: temperature and operating points come from val. Raises UserError
    before anything is written if models or data can't be used.
    """
    device = choose_device(settings.config)
    models = open_models(settings, device)
    config = _of_the_models(settings.config, models[0].meta)
    ranks, (index, skipped) = launch.join(lambda: _prepare(config, models))
    extra = {"skipped_images": [str(damage.path) for damage in skipped]}
    evaluations, members = [], []
    for model in models:
        predictions = _predict(model, index, device, config, ranks)
        if not ranks.is_first:
            continue
        members.append(predictions)
        with shared_workers(processes=config.num_workers > 0):
            blocks = audit_blocks(model.folder, index.root, index.splits["test"], config.grades)
        report = _write(
            model.folder, predictions, extra | blocks, patient_level=config.patient_level
        )
        decoders = _compare_decoders(predictions["test"], pair_accuracy(model))
        evaluations.append(
            Evaluation(_title(model), model.folder.root, report, decoders, not_read(index.others))
        )
    if len(members) > 1:
        evaluations.append(_evaluate_mean(config, members, evaluations, extra))
    return evaluations


def _prepare(
    config: TrainConfig, models: Sequence[TrainedModel]
) -> tuple[DatasetIndex, list[Damage]]:
    """The dataset, decoded into the cache, and the files that are left out; checks the outputs."""
    folders = [model.folder.root for model in models]
    for folder in [*folders, *([_mean_folder(config).root] if len(models) > 1 else [])]:
        check_writable_folder(folder, "--output_dir")
    with shared_workers(processes=config.num_workers > 0):
        index, skipped = open_dataset(config, [model.folder for model in models], SPLITS)
    index, undecodable = _decodable(models, index, config)
    return index, [*skipped, *undecodable]


def _decodable(
    models: Sequence[TrainedModel], index: DatasetIndex, config: TrainConfig
) -> tuple[DatasetIndex, list[Damage]]:
    """The dataset without the files that turn out not to be decodable, and these; the others are in
    the cache now, as each model needs them. Raises UserError without --skip_damaged."""
    inputs = [input_of(model.meta)[1] for model in models]
    for preprocessing in inputs:
        check_cache(config, index, preprocessing, SPLITS)
    damaged: list[Damage] = []
    for preprocessing in inputs:
        leave_out = config.skip_damaged
        index, more = decodable(config, index, preprocessing, SPLITS, leave_out=leave_out)
        damaged += more
    return index, damaged


def _of_the_models(config: TrainConfig, meta: Mapping[str, Any]) -> TrainConfig:
    """The settings with the models' classes; every image is read."""
    if config.debug_mode:
        log.warning("--debug_mode is for training: evaluation reads every image.")
    return dataclasses.replace(
        config,
        num_classes=meta["num_classes"],
        class_names=tuple(meta["class_names"]),
        debug_mode=False,
    )


def _predict(
    model: TrainedModel,
    index: DatasetIndex,
    device: torch.device,
    config: TrainConfig,
    ranks: Ranks,
) -> BySplit:
    marks = marks_of([model.meta, {"synthetic": index.synthetic}], [])
    return {
        name: predict_split(model, index, name, device, config, marks, ranks) for name in SPLITS
    }


def _title(model: TrainedModel) -> str:
    return " ".join(filter(None, (model.meta["architecture"], model.meta["experiment_name"])))


def _mean_folder(config: TrainConfig) -> ResultsFolder:
    return ResultsFolder(joint_folder(config) / "ensemble")


def _evaluate_mean(
    config: TrainConfig,
    members: Sequence[BySplit],
    evaluations: Sequence[Evaluation],
    extra: dict[str, Any],
) -> Evaluation:
    """Evaluates the mean of the members, in a folder of its own."""
    folder = _mean_folder(config)
    means = {name: mean_predictions([by_split[name] for by_split in members]) for name in SPLITS}
    blocks = joint_audit_blocks([evaluation.report for evaluation in evaluations])
    report = _write(folder, means, extra | blocks, patient_level=config.patient_level)
    return Evaluation(f"mean of {len(members)} models", folder.root, report, {})


def _write(
    folder: ResultsFolder,
    predictions: BySplit,
    extra: dict[str, Any],
    *,
    patient_level: bool,
) -> dict[str, Any]:
    """Writes predictions, calibration and evaluations (with `extra` and the LEAKY and SYNTHETIC
    marks); returns the report on test."""
    folder.root.mkdir(parents=True, exist_ok=True)
    calibration = fit_calibration(predictions["val"])
    marks = marks_of([], predictions.values())
    save_calibration(folder.calibration, calibration, marks)
    reports = {}
    for name, on_split in predictions.items():
        save_predictions(folder.predictions(name), on_split)
        reports[name] = evaluation_report(on_split, calibration, name)
        if patient_level:
            reports[name]["patient_level"] = patient_report(on_split, calibration)
        reports[name] |= {mark.lower(): mark in marks for mark in ("LEAKY", "SYNTHETIC")} | extra
        if name != "test":
            reports[name]["statistics_only"] = unknown(TEST_ALONE)
        write_json(folder.evaluation(name), reports[name])
    return reports["test"]


def _compare_decoders(
    test: Predictions, accuracies: np.ndarray | None
) -> dict[str, dict[str, Any]]:
    """Accuracy, balanced accuracy and kappa on test under each decoder; None if undefined.

    Empty for heads without pairs. `accuracies` (P,) are those of the pairs on val.
    """
    if test.head != "ovo":
        return {}
    classes, rows = test.num_classes, {}
    for name in DECODERS:
        predicted, _ = decode("ovo", test.logits, classes, name, accuracies)
        values = {
            "accuracy": accuracy(test.targets, predicted),
            "balanced_accuracy": balanced_accuracy(test.targets, predicted, classes),
            "quadratic_kappa": quadratic_kappa(test.targets, predicted, classes),
        }
        rows[name] = {key: None if np.isnan(value) else value for key, value in values.items()}
    return rows
