"""The files of a cross-validation once its members are trained: out-of-fold predictions, their
evaluation, calibration, and the manifest of the ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dr_ovo.cross_validation.out_of_fold import (
    OutOfFold,
    checkpoint_digests,
    member_folders,
    predict_out_of_fold,
)
from dr_ovo.errors import log
from dr_ovo.files import write_json
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.calibration_file import save_calibration
from dr_ovo.predictions.predictions_file import save_predictions
from dr_ovo.results.evaluation_file import evaluation_report
from dr_ovo.results.folder import ResultsFolder, read_json
from dr_ovo.settings.command_line import Settings
from dr_ovo.settings.train_config import TrainConfig, values_of
from dr_ovo.training.setup import resolve_models, results_folder

APPROXIMATE = (
    "Out-of-fold values come from single members: calibrating their mean with them is approximate."
)
OOF = "oof"


def assemble_all(settings: Settings) -> None:
    """Writes the files of every architecture whose members are all trained."""
    for config in resolve_models(settings.config):
        members = member_folders(config)
        untrained = [folder.root.name for folder in members if not folder.is_finished()]
        if untrained:
            log.info(
                "%s: not trained yet: %s. Out-of-fold predictions follow when all are.",
                config.output_dir, ", ".join(untrained),
            )  # fmt: skip
        else:
            _assemble(config)


def _assemble(config: TrainConfig) -> None:
    folder, members = results_folder(config), member_folders(config)
    made_of = {"checkpoints": checkpoint_digests(members), "decoder_asked": config.decoder}
    if folder.evaluation(OOF).is_file():
        before = read_json(folder.evaluation(OOF), {})
        if all(before.get(key) == value for key, value in made_of.items()):
            log.info("%s is evaluated out of fold: nothing to do.", folder.root)
            return
    found = predict_out_of_fold(config)
    write_json(folder.config, _joint_config(config, members))
    _write(folder, found, made_of)
    log.info("done: %s", folder.root)


def _joint_config(config: TrainConfig, members: Sequence[ResultsFolder]) -> dict[str, Any]:
    """config.json of the whole: what all members share."""
    first = members[0].read_config()
    own = ("effective", "counts", "data_hash", "retrained", "resumed", "recovered")
    shared = {key: value for key, value in first.items() if key not in own}
    return {**shared, "settings": {**first["settings"], **values_of(config)}}


def _write(folder: ResultsFolder, found: OutOfFold, made_of: dict[str, Any]) -> None:
    predictions = found.predictions
    calibration = fit_calibration(predictions)
    marks = [str(mark) for mark in predictions.marks]
    save_calibration(folder.calibration, calibration, marks)
    save_predictions(folder.predictions(OOF), predictions)
    report = evaluation_report(predictions, calibration, OOF)
    report |= {mark.lower(): mark in marks for mark in ("LEAKY", "SYNTHETIC")}
    write_json(folder.evaluation(OOF), {**report, **made_of})
