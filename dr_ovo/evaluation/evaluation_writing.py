"""The files of an evaluation: predictions, calibration, metrics, and what they were made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dr_ovo.decoding.heads import decoder_option
from dr_ovo.errors import UserError, log
from dr_ovo.evaluation.split_predictions import say_only_grade
from dr_ovo.evaluation.statistics_only import TEST_ALONE, unknown
from dr_ovo.files import flush, write_json
from dr_ovo.json_files import read_as
from dr_ovo.predictions.calibration_file import Calibration, load_calibration, save_calibration
from dr_ovo.predictions.predictions_file import Predictions, marks_of, save_predictions
from dr_ovo.predictions.same_answer import stopped_parts
from dr_ovo.results.evaluation_file import SCHEMA, evaluation_report, patient_report
from dr_ovo.results.folder import GRADE_FROM, STOPPED, ResultsFolder
from dr_ovo.results.made_from import (
    MADE_FROM,
    Seals,
    check_digests,
    checkpoint_digests,
    joint_files,
    made_from,
)
from dr_ovo.results.one_piece import decoded_alike
from dr_ovo.results.schemas import Evaluating
from dr_ovo.sealed_json import write_sealed
from dr_ovo.settings.train_config import TrainConfig


def write_evaluation(
    folder: ResultsFolder,
    predictions: Mapping[str, Predictions],
    calibration: Calibration,
    extra: Mapping[str, Any],
    config: TrainConfig,
    seals: Seals,
    kept: Calibration | None = None,
) -> dict[str, Any]:
    """Writes predictions and evaluations (with `extra` and the LEAKY and SYNTHETIC marks) of each
    split, and with val the calibration; returns the last report. `kept`: the calibration for what
    is evaluated later, where that is another one.

    `seals`: of the checkpoints with which the predictions were made. Says so where the evaluation
    of test that is there was made from others, or another calibration, or decoded otherwise, and
    where every image gets one grade.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    write_json(folder.evaluating, {"schema": SCHEMA, "splits": [*predictions]})
    marks = marks_of([], predictions.values())
    if "test" not in predictions or len(predictions) > 1:
        save_calibration(folder.calibration, kept or calibration, marks)
    for name, on_split in predictions.items():
        save_predictions(folder.predictions(name), on_split)
    sources = made_from(folder, seals, [*predictions])
    report: dict[str, Any] = {}
    for name, on_split in predictions.items():
        say_only_grade(folder.root, name, on_split)
        report = evaluation_report(on_split, calibration, name)
        if config.patient_level:
            report["patient_level"] = patient_report(on_split, calibration)
        report[STOPPED] = stopped_parts(on_split)
        report |= {mark.lower(): mark in marks for mark in ("LEAKY", "SYNTHETIC")} | dict(extra)
        report["prior_corrected"] = config.prior_correction
        if name != "test":
            report["statistics_only"] = unknown(TEST_ALONE)
        write_sealed(folder.evaluation(name), {**report, MADE_FROM: sources[name]})
    if "val" in predictions and "test" not in predictions:
        say_stale(folder, sources["val"]["checkpoints"])
    folder.evaluating.unlink()
    flush(folder.root)
    return report


def require_redone(folder: ResultsFolder, splits: Sequence[str]) -> None:
    """Raises UserError where an evaluation was stopped while it was written, and not all of its
    splits are evaluated now: the others would stay mixed."""
    if folder.evaluating.is_file():
        left = read_as(folder.evaluating, Evaluating, "Remove it, and evaluate all splits.").splits
        if not {*left} <= {*splits}:
            raise UserError(
                f"An evaluation of {', '.join(left)} in {folder.root} was stopped while it was "
                f"written. Evaluate the same splits again: --splits {' '.join(left)}"
            )


def say_stale(folder: ResultsFolder, checkpoints: Mapping[str, str]) -> None:
    """Warns if the evaluation on test was made from something else than what is there now, with
    `checkpoints` of these digests, or is of other grades than that on val."""
    path, test = folder.evaluation("test"), folder.read_evaluation("test")
    before = test.get(MADE_FROM, {})
    now = {"checkpoints": checkpoints, **joint_files(folder)}
    changed = any(before.get(key) != value for key, value in now.items())
    val = folder.read_evaluation("val")
    if path.is_file() and (changed or not decoded_alike(val, test)):
        # A mean is calibrated and judged in one go.
        splits = "" if GRADE_FROM in val else " --splits test"
        log.warning(
            "%s is stale: checkpoints, calibration or decoder have changed since. Evaluate test "
            "again, decoded alike: --mode evaluate%s",
            path, splits,
        )  # fmt: skip


def required_calibration(
    folder: ResultsFolder, decoder: str, *, prior_correction: bool
) -> Calibration:
    """The calibration that an evaluation on val left. Raises UserError where there is none, for one
    of other checkpoints, and for one of other probabilities, or of grades by another decoder."""
    if not folder.calibration.is_file():
        raise UserError(
            f"--splits test: {folder.root} has no calibration.json. Evaluate val first, or both "
            "splits."
        )
    require_redone(folder, ["test"])
    check_digests(folder, ["val"])
    report = folder.read_evaluation("val")
    before = report.get(MADE_FROM)
    if before and before["checkpoints"] != checkpoint_digests([folder]):
        raise UserError(
            f"--splits test: the calibration in {folder.root} is of other checkpoints than those "
            "in models/. Evaluate val first, or both splits."
        )
    corrected = report.get("prior_corrected", False)
    if corrected != prior_correction or report.get("decoder", decoder) != decoder:
        raise UserError(
            f"--splits test: val in {folder.root} was evaluated with --decoder "
            f"{decoder_option(report.get('decoder', decoder))} --prior_correction "
            f"{str(corrected).lower()}, and its calibration is for that. Give the same options, or "
            "evaluate both splits."
        )
    return load_calibration(folder.calibration)
