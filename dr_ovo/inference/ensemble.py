"""The networks that grade together: one model, the mean of several, or an exported ensemble."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from dr_ovo.decoding.decoders import Fitted, decode
from dr_ovo.decoding.heads import head_of
from dr_ovo.decoding.tempering import temper
from dr_ovo.ensembles.combination import combine
from dr_ovo.ensembles.manifest import Manifest, Member, read_manifest
from dr_ovo.errors import UserError
from dr_ovo.inference.calibrations import (
    calibrated_on,
    calibration_or_reason,
    is_expected,
    known_expected,
    known_fitted,
    known_temperature,
)
from dr_ovo.inference.ensemble_members import EXPORT, TOGETHER, open_members
from dr_ovo.inference.trained_model import (
    TrainedModel,
    can_be_corrected,
    fitted_for,
    open_models,
    pair_accuracy,
    say_uncorrected,
    with_decoding_of,
)
from dr_ovo.inference.training_gate import TrainingGate, open_gate
from dr_ovo.models.architectures import resolve_architecture
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.predictions.predictions_file import marks_of
from dr_ovo.results.folder import ENSEMBLE_FILE, FOLDS_FILE, OOF, ResultsFolder
from dr_ovo.results.made_from import check_digests
from dr_ovo.results.one_piece import check_one_piece
from dr_ovo.settings.command_line import Settings
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.setup import joint_folder, mean_folder, trained_folders


@dataclass(frozen=True)
class Ensemble:
    """Networks that grade together, each with its decoder; `folder` is the default for the CSV.

    `calibration`: of their joint probabilities; None where there is none, for the reason in
    `uncalibrated`. `evaluated`: the folder with their evaluation, if they are evaluated.
    """

    models: Sequence[TrainedModel]
    decoders: Sequence[str]
    method: str
    weights: np.ndarray  # (M,)
    folder: Path
    evaluated: ResultsFolder
    temperatures: Sequence[float]
    fitted: Sequence[Fitted]  # what decodes the logits of each
    expected: Fitted | None = None  # None: the grade is the most probable one
    calibration: Calibration | None = None
    uncalibrated: str = ""

    @cached_property
    def gates(self) -> list[TrainingGate]:
        """Of each network, what tells photographs unlike those of its training. Raises UserError
        for a damaged file."""
        return [open_gate(model.folder, model.seals) for model in self.models]

    @property
    def class_names(self) -> list[str]:
        """The names of the grades."""
        return list(self.models[0].meta["class_names"])

    @property
    def marks(self) -> list[str]:
        """The marks of the models, such as LEAKY."""
        return sorted({mark for model in self.models for mark in marks_of([model.meta], [])})

    def grade(self, logits: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The grades (n,), probabilities (n, C) and the grades (M, n) of each of M models, by the
        logits (n, K) of each."""
        predicted, probabilities = [], []
        rows = zip(self.models, self.decoders, logits, self.temperatures, self.fitted, strict=True)
        for model, decoder, own, temperature, fitted in rows:
            meta = model.meta
            grades, each = decode(
                meta["head"], own, meta["num_classes"], decoder, pair_accuracy(model), fitted
            )
            predicted.append(grades)
            probabilities.append(each if temperature == 1 else temper(each, temperature))
        combined, joint = combine(
            self.method, np.stack(predicted), np.stack(probabilities), self.weights, self.expected
        )
        return (predicted[0] if len(self.models) == 1 else combined), joint, np.stack(predicted)


def open_ensemble(settings: Settings, device: torch.device) -> Ensemble:
    """The networks that the settings name. Raises UserError where they can't be used."""
    config = settings.config
    file = Path(config.ensemble) if config.ensemble else folds_manifest(config)
    if file is not None:
        if not config.ensemble:
            check_digests(ResultsFolder(file.parent), [OOF])
        return open_manifest(file, settings, device)
    models = open_models(settings, device)
    say_uncorrected(settings, models)
    pairs = [(one, with_decoding_of(settings, one.folder, one.meta["head"])) for one in models]
    folder = models[0].folder.root if len(models) == 1 else joint_folder(config)
    count = len(models)
    calibrated = count > 1 or any(is_expected(*pair) for pair in pairs)
    check_one_piece([model.folder for model in models], calibrated_on(models) if calibrated else [])
    own = models[0].folder if count == 1 else mean_folder(config)
    temperatures = [1.0] if count == 1 else [known_temperature(*pair) for pair in pairs]
    calibration, uncalibrated = calibration_or_reason(own, pairs, temperatures)
    return Ensemble(
        models,
        [each.decoder for _, each in pairs],
        "mean",
        np.full(count, 1 / count),
        folder,
        own,
        temperatures,
        [known_fitted(*pair) for pair in pairs],
        known_expected(own, pairs, temperatures) if count > 1 else None,
        calibration,
        uncalibrated,
    )


def folds_manifest(config: TrainConfig) -> Path | None:
    """The manifest of the ensemble in a folder that `--folds` made; None for another folder.

    Raises UserError where its members are not evaluated out of fold yet, and for several models.
    """
    folders = list(trained_folders(config).values())
    divided = [folder.root for folder in folders if (folder.root / FOLDS_FILE).is_file()]
    if not divided:
        return None
    if len(folders) > 1:
        raise UserError(
            f"{', '.join(map(str, divided))}: a cross-validation is evaluated, and grades, by "
            f"itself. Name one model at a time: --output_dir {divided[0]}"
        )
    path = divided[0] / ENSEMBLE_FILE
    if not path.is_file():
        raise UserError(
            f"{path.parent} has no {ENSEMBLE_FILE}: its members are not all trained, or were not "
            f"put together to the end. {TOGETHER}"
        )
    return path


def open_manifest(file: Path, settings: Settings, device: torch.device) -> Ensemble:
    """The networks of a manifest. Raises UserError where they can't be used."""
    config, manifest = settings.config, read_manifest(file)
    _require_agreement(settings, manifest)
    divided = (file.parent / FOLDS_FILE).is_file()
    models = open_members(manifest, settings, device, TOGETHER if divided else EXPORT)
    check_one_piece([model.folder for model in models])
    if "prior_correction" in settings.given():
        say_uncorrected(settings, models)
    rows = zip(models, manifest.members, strict=True)
    return Ensemble(
        models,
        [member.decoder for member in manifest.members],
        manifest.method,
        manifest.weights,
        Path(config.output_dir or file.parent),
        ResultsFolder(file.parent),
        [member.temperature for member in manifest.members],
        [_fitted_of(*pair) for pair in rows],
        manifest.expected,
        manifest.calibration,
        "" if manifest.calibration else f"{file} is of an earlier version: export it again",
    )


def _fitted_of(model: TrainedModel, member: Member) -> Fitted:
    """What decodes the logits of a member; its grade is expected by its tempered probabilities."""
    fitted = fitted_for(model, corrected=member.prior_corrected)
    return dataclasses.replace(fitted, temperature=member.temperature)


def _require_agreement(settings: Settings, manifest: Manifest) -> None:
    """Raises UserError if given models or a given decoder are not the manifest's."""
    config, members = settings.config, manifest.members
    own_models = {member.architecture for member in members}
    if config.base_models and {*map(resolve_architecture, config.base_models)} != own_models:
        raise UserError(
            f"--base_models {' '.join(config.base_models)}: the ensemble is "
            f"made of {', '.join(sorted(map(str, own_models)))}. Leave --base_models out."
        )
    given = settings.given()
    heads = [(head_of(member.head), member.decoder) for member in members]
    others = {own for h, own in heads if h.decoder(config.decoder) != h.decoder(own)}
    if "decoder" in given and others:
        raise UserError(
            f"--decoder {config.decoder}: the ensemble decodes its members "
            f"with {', '.join(sorted(others))}. Leave --decoder out."
        )
    corrected = {member.prior_corrected for member in members if can_be_corrected(member.head)}
    if "prior_correction" in given and not corrected <= {config.prior_correction}:
        said = "all" if corrected == {True} else "none" if corrected == {False} else "some"
        raise UserError(
            f"--prior_correction {str(config.prior_correction).lower()}: the ensemble corrects "
            f"{said} of its members. Leave --prior_correction out."
        )
