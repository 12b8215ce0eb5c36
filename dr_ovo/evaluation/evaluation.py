"""`--mode evaluate`: predictions, calibration and metrics of trained networks on val and test."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.dataset.image_files import not_read
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.decoded.processes.file_workers import shared_workers
from dr_ovo.decoding.decoders import DECODERS, decode
from dr_ovo.decoding.heads import ARGMAX, EXPECTED, head_of
from dr_ovo.distributed.launch import Launch
from dr_ovo.ensembles.combination import tempered
from dr_ovo.ensembles.cross_fitting import fit_ensemble
from dr_ovo.errors import UserError, log
from dr_ovo.evaluation.audit_blocks import audit_blocks, joint_audit_blocks
from dr_ovo.evaluation.chosen_on_val import chosen_on_val
from dr_ovo.evaluation.evaluation_writing import (
    require_redone,
    required_calibration,
    write_evaluation,
)
from dr_ovo.evaluation.split_predictions import predict_split
from dr_ovo.inference.trained_model import (
    TrainedModel,
    can_be_corrected,
    fitted_for,
    open_models,
    pair_accuracy,
    say_uncorrected,
    seals_of_models,
    with_decoding_of,
)
from dr_ovo.models.checkpoints.files import input_of
from dr_ovo.photographs.damage import Damage
from dr_ovo.predictions.calibration import fit_calibration, graded
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.predictions.metrics import accuracy, balanced_accuracy, quadratic_kappa
from dr_ovo.predictions.predictions_file import Predictions, marks_of
from dr_ovo.predictions.same_answer import stopped_members
from dr_ovo.results.folder import GRADE_FROM, MEMBER_TEMPERATURES, STOPPED, ResultsFolder
from dr_ovo.results.model_results import SPLITS
from dr_ovo.results.one_piece import check_one_piece
from dr_ovo.settings.command_line import Settings
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.data.loading import check_cache, decodable
from dr_ovo.training.data.opening import open_dataset
from dr_ovo.training.data.seen_photographs import seen_by
from dr_ovo.training.setup import choose_device, mean_folder
from dr_ovo.writable import check_writable_folder

BySplit = dict[str, Predictions]


@dataclass(frozen=True)
class Evaluation:
    """A model's report on a split, test if that is evaluated; its point metrics there under each
    decoder, and a sentence that counts the files that were not read ("" for none)."""

    title: str
    folder: Path
    report: dict[str, Any]
    decoders: dict[str, dict[str, Any]]
    not_read: str = ""


def evaluate(settings: Settings, launch: Launch) -> list[Evaluation]:
    """Evaluates every model, and the mean of several, on `--splits`; writes to their results
    folders.

    Of several ranks each predicts its share, and the first writes; the others return nothing.
    Nothing is selected on test: temperature and operating points come from val, or, where that is
    not evaluated, from the calibration that is there. Raises UserError before anything is written
    if models or data can't be used.
    """
    device = choose_device(settings.config)
    models = open_models(settings, device)
    for model in models:
        _require_no_member(model.folder)
    check_one_piece([model.folder for model in models])
    if settings.config.debug_mode:
        log.warning("--debug_mode is for training: evaluation reads every image.")
    config = of_the_models(settings.config, models[0].meta)
    splits = tuple(name for name in SPLITS if name in config.splits)
    known = {} if "val" in splits else {m.folder.root: _known(settings, m) for m in models}
    if not known or len(models) == 1:
        means = [mean_folder(config)] if len(models) > 1 else []
    else:
        raise UserError(
            "--splits test: the mean of several models is calibrated on val. Evaluate both splits, "
            "or one model at a time."
        )
    say_uncorrected(settings, models)
    owns = [of_the_models(_decoding_of(settings, model), model.meta) for model in models]
    if means:
        config = dataclasses.replace(config, prior_correction=_joint_correction(models, owns))
    written = [*(model.folder for model in models), *means]
    ranks, (index, skipped) = launch.join(lambda: prepare(config, models, written, splits))
    extra = {"skipped_images": [str(damage.path) for damage in skipped]}
    evaluations, members = [], []
    for model, own in zip(models, owns, strict=True):
        marked = marks(model, index)
        predictions = {
            name: predict_split(model, index, name, device, own, marked, ranks) for name in splits
        }
        if not ranks.is_first:
            continue
        calibration = known.get(model.folder.root) or fit_calibration(
            predictions["val"], chosen_on_val(model, predictions["val"])
        )
        predictions = {name: graded(each, calibration) for name, each in predictions.items()}
        with shared_workers(processes=config.num_workers > 0):
            blocks = audit_blocks(model.folder, index.root, index.splits.get("test"), config.grades)
        report = write_evaluation(
            model.folder, predictions, calibration, extra | blocks, own, dict(model.seals)
        )
        members.append({n: tempered(p, calibration.temperature) for n, p in predictions.items()})
        decoders = _compare_decoders(predictions[splits[-1]], model, own)
        left = not_read(index.others)
        evaluations.append(Evaluation(_title(model), model.folder.root, report, decoders, left))
    if len(members) > 1:
        evaluations.append(_evaluate_mean(config, models, members, evaluations, extra))
    return evaluations


def _require_no_member(folder: ResultsFolder) -> None:
    """Raises UserError for a member of `--folds`, for which val is no val."""
    if folder.config.is_file() and folder.read_config()["settings"]["folds"]:
        raise UserError(
            f"{folder.root} is a member of --folds, which learned from val: nothing can be "
            f"calibrated on it. Evaluate all of them: --output_dir {folder.root.resolve().parent}"
        )


def _joint_correction(models: Sequence[TrainedModel], configs: Sequence[TrainConfig]) -> bool:
    """Whether the prior of the models, as far as it can be, is corrected, of which their mean is
    made. Raises UserError where that of some is, and of others not."""
    folders: dict[bool, list[str]] = {True: [], False: []}
    for model, config in zip(models, configs, strict=True):
        if can_be_corrected(model.meta["head"]):
            folders[config.prior_correction].append(str(model.folder.root))
    if all(folders.values()):
        on, off = (", ".join(folders[answer]) for answer in (True, False))
        raise UserError(
            "The mean of these models would mix probabilities: --prior_correction, as they were "
            f"trained, is on for {on} and off for {off}. Give --prior_correction or "
            "--no-prior_correction for all, or evaluate one model at a time."
        )
    return bool(folders[True])


def _decoding_of(settings: Settings, model: TrainedModel) -> TrainConfig:
    return with_decoding_of(settings, model.folder, model.meta["head"])


def _known(settings: Settings, model: TrainedModel) -> Calibration:
    """The calibration of a model that is evaluated on test alone."""
    config, head = _decoding_of(settings, model), head_of(model.meta["head"])
    corrected = config.prior_correction
    if head.is_number:  # nothing is corrected, whatever earlier versions say
        corrected = model.folder.read_evaluation("val").get("prior_corrected", False)
    decoder = head.decoder(config.decoder)
    return required_calibration(model.folder, decoder, prior_correction=corrected)


def prepare(
    config: TrainConfig,
    models: Sequence[TrainedModel],
    written: Sequence[ResultsFolder],
    splits: tuple[str, ...],
) -> tuple[DatasetIndex, list[Damage]]:
    """The dataset, decoded into the cache, and the files that are left out; checks the folders that
    will be `written`."""
    for folder in written:
        check_writable_folder(folder.root, "--output_dir")
        require_redone(folder, splits)
    with shared_workers(processes=config.num_workers > 0):
        index, skipped = open_dataset(config, [model.folder for model in models], splits)
    index, undecodable = decodable_by_all(models, index, config, splits)
    return index, [*skipped, *undecodable]


def decodable_by_all(
    models: Sequence[TrainedModel],
    index: DatasetIndex,
    config: TrainConfig,
    splits: tuple[str, ...],
) -> tuple[DatasetIndex, list[Damage]]:
    """The dataset without the files that turn out not to be decodable, and these; the others are in
    the cache now, as each model needs them. Raises UserError without --skip_damaged."""
    inputs = [input_of(model.meta)[1] for model in models]
    for preprocessing in inputs:
        check_cache(config, index, preprocessing, splits)
    damaged: list[Damage] = []
    for preprocessing in inputs:
        leave_out = config.skip_damaged
        index, more = decodable(config, index, preprocessing, splits, leave_out=leave_out)
        damaged += more
    return index, damaged


def of_the_models(config: TrainConfig, meta: Mapping[str, Any]) -> TrainConfig:
    """The settings with the models' classes; every image is read."""
    return dataclasses.replace(
        config,
        num_classes=meta["num_classes"],
        class_names=tuple(meta["class_names"]),
        debug_mode=False,
    )


def marks(model: TrainedModel, index: DatasetIndex) -> list[str]:
    """The marks of what a model says of the photographs of a dataset; LEAKY, too, where it has seen
    them in training."""
    seen = seen_by(model.meta)
    known = seen.files_of(index, index.contents) if seen else {}
    for name, files in known.items():
        log.warning(
            "%s has seen %d of the %d photographs of %s in its training (%s%s): scores there are "
            "too good, and marked LEAKY.",
            model.folder.root, len(files), len(index.splits[name]), name, files[0],
            ", ..." * (len(files) > 1),
        )  # fmt: skip
    return marks_of([model.meta, {"synthetic": index.synthetic, "leaky": bool(known)}], [])


def _title(model: TrainedModel) -> str:
    return " ".join(filter(None, (model.meta["architecture"], model.meta.get("experiment_name"))))


def _evaluate_mean(
    config: TrainConfig,
    models: Sequence[TrainedModel],
    members: Sequence[BySplit],
    evaluations: Sequence[Evaluation],
    extra: dict[str, Any],
) -> Evaluation:
    """Evaluates the mean of the members, in a folder of its own."""
    folder = mean_folder(config)
    vals = [by_split["val"] for by_split in members]
    fitted = fit_ensemble(vals, "mean")
    means = {name: fitted.on([by_split[name] for by_split in members]) for name in members[0]}
    blocks = joint_audit_blocks([evaluation.report for evaluation in evaluations])
    pairs = zip(models, vals, strict=True)
    blocks[STOPPED] = stopped_members((model.folder.root.name, val) for model, val in pairs)
    blocks[MEMBER_TEMPERATURES] = {
        model.folder.root.resolve().name: evaluation.report["calibration"]["temperature"]
        for model, evaluation in zip(models, evaluations, strict=True)
    }
    calibration = fitted.calibration
    blocks[GRADE_FROM] = ARGMAX if fitted.expected is None else EXPECTED
    if fitted.expected is not None:  # --mode inference takes them from here
        calibration = dataclasses.replace(calibration, grade_thresholds=fitted.expected.thresholds)
    report = write_evaluation(
        folder, means, calibration, extra | blocks, config, seals_of_models(models)
    )
    return Evaluation(f"mean of {len(members)} models", folder.root, report, {})


def _compare_decoders(
    test: Predictions, model: TrainedModel, config: TrainConfig
) -> dict[str, dict[str, Any]]:
    """Accuracy, balanced accuracy and kappa on test under each decoder of pairs, with the prior
    corrected as in its evaluation; None if undefined.

    Empty for heads without pairs.
    """
    if not head_of(test.head).paired:
        return {}
    classes, rows = test.num_classes, {}
    fitted = fitted_for(model, corrected=config.prior_correction)
    for name in DECODERS:
        predicted, _ = decode(test.head, test.logits, classes, name, pair_accuracy(model), fitted)
        values = {
            "accuracy": accuracy(test.targets, predicted),
            "balanced_accuracy": balanced_accuracy(test.targets, predicted, classes),
            "quadratic_kappa": quadratic_kappa(test.targets, predicted, classes),
        }
        rows[name] = {key: None if np.isnan(value) else value for key, value in values.items()}
    return rows
