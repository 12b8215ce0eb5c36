"""A model's own test beside another data set: its predictions, merged into the same classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dr_ovo.decoding.heads import ARGMAX, EXPECTED, decoder_option
from dr_ovo.errors import UserError
from dr_ovo.evaluation.external.external_predictions import can_any_be_corrected, is_corrected
from dr_ovo.evaluation.external.metrics.class_map import ClassMap, Merged, merged
from dr_ovo.files import file_sha256
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.inference.trained_model import seals_of_models
from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.results.folder import GRADE_FROM
from dr_ovo.results.made_from import MADE_FROM, check_evaluation_files

EVALUATE = "evaluate it: --mode evaluate"


def require_same_decoding(ensemble: Ensemble, decoder: str) -> None:
    """Raises UserError where the evaluations that are there, with their calibration, are of other
    probabilities or grades than those that the `decoder` gives now."""
    folder, corrected = ensemble.evaluated, is_corrected(ensemble)
    report = folder.read_evaluation("test") or folder.read_evaluation("val")
    flags = []
    of_mean = report.get(GRADE_FROM)
    if (before := report.get("decoder", decoder)) != decoder:
        flags.append(f"--decoder {decoder_option(before)}")
    elif of_mean not in (None, _grade_from(ensemble)):  # only the evaluation of a mean says it
        flags.append(f"--decoder {decoder_option(of_mean)}")
    prior = report.get("prior_corrected", corrected)
    if prior != corrected and can_any_be_corrected(ensemble):
        flags.append(f"--prior_correction {str(prior).lower()}")
    if flags:
        raise UserError(
            f"--external: {folder.root} was evaluated with {' '.join(flags)}, and its calibration "
            "is for that. Give the same options, or evaluate it again with these, without "
            "--external."
        )


def own_test(
    ensemble: Ensemble, classes: ClassMap, decoder: str
) -> tuple[Merged | str, dict[str, Any]]:
    """The predictions of these networks, by this `decoder`, on their own test, or why there are
    none; and what is to be said of the file, to tell later whether it is still that.

    Raises UserError for an evaluation whose files don't belong together.
    """
    folder = ensemble.evaluated
    path = folder.predictions("test")
    if not path.is_file():
        return f"{folder.root} has no predictions on test: {EVALUATE}", {}
    check_evaluation_files(folder, ["test"])
    report = folder.read_evaluation("test")
    before = report.get(MADE_FROM, {}).get("checkpoints")
    now = [own["checkpoints"] for own in seals_of_models(ensemble.models).values()]
    if before is not None and sorted(before.values()) != sorted(now):
        return f"test in {folder.root} was evaluated with other checkpoints: {EVALUATE}", {}
    predictions = load_predictions(path)
    if tuple(map(str, predictions.class_names)) != classes.grades:
        return f"test in {folder.root} was evaluated in other grades: {EVALUATE}", {}
    if predictions.decoder != decoder:
        return f"test in {folder.root} was evaluated with the decoder {predictions.decoder}", {}
    of_mean = report.get(GRADE_FROM)
    if of_mean not in (None, _grade_from(ensemble)):
        return f"test in {folder.root} was evaluated with grades by {of_mean}: {EVALUATE}", {}
    targets = np.array(classes.class_of)[predictions.targets]
    return merged(predictions, classes, targets), {"own_test": file_sha256(path)}


def _grade_from(ensemble: Ensemble) -> str:
    """What gives the grades of a mean, as its evaluation names it."""
    return ARGMAX if ensemble.expected is None else EXPECTED
