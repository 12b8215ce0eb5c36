"""`--mode evaluate`: predictions, calibration and metrics of trained networks on val and test."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.dataset.index import Split
from dr_ovo.decoding.decoders import DECODERS, decode
from dr_ovo.ensembles.combination import mean_predictions
from dr_ovo.errors import MachineError, log
from dr_ovo.files import write_json
from dr_ovo.inference.statistics_only import TEST_ALONE, common_block, statistics_only, unknown
from dr_ovo.inference.trained_model import TrainedModel, open_models, predict
from dr_ovo.pairs import class_pairs
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.predictions.calibration import (
    calibration_share,
    fit_calibration,
    save_calibration,
)
from dr_ovo.predictions.metrics import accuracy, balanced_accuracy, quadratic_kappa
from dr_ovo.predictions.predictions_file import Predictions, marks_of, save_predictions
from dr_ovo.results.evaluation_file import evaluation_report, patient_report
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.command_line import Settings
from dr_ovo.training.audit_gate import single_threaded_opencv, was_audited
from dr_ovo.training.optimization.branch_trainer import Precision
from dr_ovo.training.setup import choose_precision, joint_folder, open_dataset

SPLITS = ("val", "test")


@dataclass(frozen=True)
class Evaluation:
    """One model's report on test, and its point metrics under each decoder."""

    title: str
    folder: Path
    report: dict[str, Any]
    decoders: dict[str, dict[str, Any]]


def evaluate(settings: Settings) -> list[Evaluation]:
    """Evaluates every model, and the mean of several; writes to their results folders.

    Nothing is selected on test: temperature and operating points come from val. Raises UserError
    before anything is written if models or data can't be used.
    """
    config = settings.config
    precision = choose_precision(config)
    models = open_models(settings, precision)
    meta = models[0].meta
    config = dataclasses.replace(
        config,
        num_classes=meta["num_classes"],
        class_names=tuple(meta["class_names"]),
        debug_mode=False,
    )
    if settings.config.debug_mode:
        log.warning("--debug_mode is for training: evaluation reads every image.")
    index, skipped = open_dataset(config, SPLITS)
    evaluations, members = [], []
    extra: dict[str, Any] = {"skipped_images": [str(damage.path) for damage in skipped]}
    for model in models:
        marks = marks_of([model.meta, {"synthetic": index.synthetic}], [])
        predictions = {
            name: _predict_split(
                model, index.splits[name], precision, config.decoder, config.num_workers, marks
            )
            for name in SPLITS
        }
        members.append(predictions)
        title = " ".join(filter(None, (model.meta["architecture"], model.meta["experiment_name"])))
        pair_accuracy = _pair_accuracy(model)
        audited = was_audited(model.folder, Path(config.dataset_path), config.grades)
        if audited is False:
            log.warning(
                "%s: these are not the files that its training audited. To check whether test "
                "shares images or patients with train: python -m dr_ovo audit %s",
                model.folder.root,
                config.dataset_path,
            )
        extra["audited"] = audited
        with single_threaded_opencv():  # the next model's image-reading processes are forked
            extra["statistics_only"] = statistics_only(
                model.folder, Path(config.dataset_path), index.splits["test"], config.grades
            )
        report = _write(model.folder, predictions, extra, patient_level=config.patient_level)
        decoders = _compare_decoders(predictions["test"], pair_accuracy)
        evaluations.append(Evaluation(title, model.folder.root, report, decoders))
    if len(models) > 1:
        folder = ResultsFolder(joint_folder(config) / "ensemble")
        means = {
            name: mean_predictions([by_split[name] for by_split in members]) for name in SPLITS
        }
        title = f"mean of {len(models)} models"
        audits = {evaluation.report["audited"] for evaluation in evaluations}
        extra["audited"] = False if False in audits else None if None in audits else True
        extra["statistics_only"] = common_block(
            [evaluation.report["statistics_only"] for evaluation in evaluations]
        )
        report = _write(folder, means, extra, patient_level=config.patient_level)
        evaluations.append(Evaluation(title, folder.root, report, {}))
    return evaluations


def _predict_split(
    model: TrainedModel,
    split: Split,
    precision: Precision,
    decoder: str,
    num_workers: int,
    marks: list[str],
) -> Predictions:
    outputs = predict(model, split.paths, precision, num_workers, with_quality=True)
    if outputs.damaged:
        damaged = [Damage(split.paths[i], reason) for i, reason in outputs.damaged.items()]
        raise MachineError(
            f"{len(damaged)} files in {split.name} can't be read:\n{describe(damaged)}\nRepair "
            "them, or evaluate without them with --skip_damaged."
        )
    meta, head = model.meta, model.meta["head"]
    has_pairs = head == "ovo"
    predicted, probabilities = decode(
        head, outputs.logits, meta["num_classes"], decoder, _pair_accuracy(model)
    )
    sample_ids, patient_ids = np.array(split.sample_ids), np.array(split.patient_ids)
    share = np.zeros(len(split), dtype=bool)
    if split.name == "val":
        share = calibration_share(sample_ids, patient_ids, split.targets)
    return Predictions(
        head=head,
        decoder=decoder if has_pairs else "argmax",
        class_names=np.array(meta["class_names"]),
        sample_ids=sample_ids,
        patient_ids=patient_ids,
        eyes=np.array(split.eyes),
        quality=outputs.quality,
        calibration=share,
        targets=split.targets,
        predicted=predicted,
        pairs=np.array(class_pairs(meta["num_classes"]) if has_pairs else [], dtype=np.int64),
        logits=outputs.logits,
        probabilities=probabilities,
        marks=np.array(marks, np.str_),
    )


def _pair_accuracy(model: TrainedModel) -> np.ndarray | None:
    """(P,) val accuracies, for the `weighted` decoder."""
    if model.meta["head"] != "ovo":
        return None
    return np.array(model.meta["pair_accuracy"], dtype=np.float64)


def _write(
    folder: ResultsFolder,
    predictions: dict[str, Predictions],
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
    test: Predictions, pair_accuracy: np.ndarray | None
) -> dict[str, dict[str, Any]]:
    """Accuracy, balanced accuracy and kappa on test under each decoder; None if undefined.

    Empty for heads without pairs.
    """
    if test.head != "ovo":
        return {}
    classes, rows = test.num_classes, {}
    for name in DECODERS:
        predicted, _ = decode("ovo", test.logits, classes, name, pair_accuracy)
        values = {
            "accuracy": accuracy(test.targets, predicted),
            "balanced_accuracy": balanced_accuracy(test.targets, predicted, classes),
            "quadratic_kappa": quadratic_kappa(test.targets, predicted, classes),
        }
        rows[name] = {key: None if np.isnan(value) else value for key, value in values.items()}
    return rows
