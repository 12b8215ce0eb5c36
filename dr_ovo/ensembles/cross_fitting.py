"""Ensembles fitted on val with cross-fitted weights: number of folds, fewest patients."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.ensembles.combination import ensemble_predictions, replaced
from dr_ovo.ensembles.weights import MemberPredictions, is_fitted, weigher
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.calibration_file import VAL_OF_FOLDS, Calibration
from dr_ovo.predictions.conformal import OUT_OF_FOLD
from dr_ovo.predictions.predictions_file import Predictions

FOLDS = 5
MIN_PATIENTS = 25  # five per fold
TEMPERED = "the temperatures of the members were fitted on them"


@dataclass(frozen=True, eq=False)
class FittedEnsemble:
    """An ensemble with everything that was decided on val."""

    method: str
    weights: np.ndarray  # (M,), fitted on val's whole selection share; sum 1
    fold_weights: np.ndarray  # (5, M), or (0, M) where nothing was cross-fitted
    val: Predictions  # on the selection share by cross-fitted weights
    calibration: Calibration
    note: str  # how to read the metrics on val
    expected: Fitted | None = None  # None: the grade is the most probable one

    def on(self, members: Sequence[Predictions]) -> Predictions:
        """The ensemble's predictions on the members' samples, such as test."""
        return ensemble_predictions(members, self.method, self.weights, self.expected)


def fit_ensemble(
    val: Sequence[Predictions],
    method: str,
    weight_by: str = "accuracy",
    *,
    out_of_fold: bool = False,
) -> FittedEnsemble:
    """The ensemble of models, from their predictions on val, whose probabilities are tempered.

    Weights and, where all members take their grades from the expected one, its thresholds are
    fitted on the selection share only. Temperature and operating points are fitted on the
    calibration share, combined by the weights from the whole selection share; a val that was not
    split is used for both. `out_of_fold`: in place of val are train and val, each sample graded by
    the members of cross-validations that did not see it.
    """
    answers, selected = MemberPredictions.of(val), ~val[0].calibration
    selection = answers.samples(selected)
    weights = weigher(method, weight_by)(selection)
    expected = selection.fit_expected(weights)
    grades, probabilities = answers.combined(method, weights, expected)
    fold_grades, fold_probabilities, fold_weights = cross_fitted(selection, method, weight_by)
    grades[selected], probabilities[selected] = fold_grades, fold_probabilities
    combined = replaced(val[0], method, grades, probabilities)
    note = _note(selection, method, VAL_OF_FOLDS if out_of_fold else "val")
    calibration = fit_calibration(combined, [*([OUT_OF_FOLD] if out_of_fold else []), TEMPERED])
    return FittedEnsemble(method, weights, fold_weights, combined, calibration, note, expected)


def cross_fitted(
    selection: MemberPredictions, method: str, weight_by: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grades (N,), probabilities (N, C), and the weights (5, M) of the five patient folds.

    Each fold is combined by weights, and thresholds of the expected grade, fitted on the other
    folds. There are no folds, (0, M), where nothing is fitted or there are fewer than 25 patients;
    in the latter case it was fitted on the samples that it combines.
    """
    weigh = weigher(method, weight_by)
    nothing_fitted = not is_fitted(method) and not selection.from_expected
    if nothing_fitted or _too_few_patients(selection):
        weights = weigh(selection)
        expected = selection.fit_expected(weights)
        grades, probabilities = selection.combined(method, weights, expected)
        return grades, probabilities, np.zeros((0, len(selection.grades)))
    folds = patient_folds(selection.patients, selection.targets)
    grades = np.empty_like(selection.targets)
    probabilities = np.empty(selection.probabilities.shape[1:])
    fold_weights = []
    for fold in range(FOLDS):
        in_fold = folds == fold
        others = selection.samples(~in_fold)
        fold_weights.append(weigh(others))
        expected = others.fit_expected(fold_weights[-1])
        combined = selection.samples(in_fold).combined(method, fold_weights[-1], expected)
        grades[in_fold], probabilities[in_fold] = combined
    return grades, probabilities, np.array(fold_weights)


def patient_folds(patients: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(N,) fold 0 to 4 of each sample; no patient is in two folds, grades are spread evenly.

    Patients are dealt out in the order of their worst grade and, within a grade, of their sha256.
    """
    distinct, of_sample = np.unique(patients, return_inverse=True)
    worst_grades = np.full(len(distinct), -1)
    np.maximum.at(worst_grades, of_sample, targets)
    hashes = np.array([hashlib.sha256(patient.encode()).hexdigest() for patient in distinct])
    folds = np.empty(len(distinct), dtype=np.int64)
    folds[np.lexsort((hashes, worst_grades))] = np.arange(len(distinct)) % FOLDS
    return folds[of_sample]


def _too_few_patients(selection: MemberPredictions) -> bool:
    return len(np.unique(selection.patients)) < MIN_PATIENTS


def _note(selection: MemberPredictions, method: str, where: str) -> str:
    if not is_fitted(method):
        return f"Only temperature and thresholds are fitted on {where}: no weights to cross-fit."
    patients, images = len(np.unique(selection.patients)), len(selection.targets)
    if _too_few_patients(selection):
        return (
            f"There are {patients} patients in {where} to fit weights on, fewer than the "
            f"{MIN_PATIENTS} that {FOLDS} folds need: the figures there come from the images that "
            "the weights were fitted on, and are too good."
        )
    note = (
        f"Weights were fitted on {images} images of {patients} patients of {where}; figures "
        f"there are cross-fitted in {FOLDS} patient folds."
    )
    counts = {
        int(grade): len(np.unique(selection.patients[selection.targets == grade]))
        for grade in range(selection.probabilities.shape[2])
    }
    rare = [f"grade {grade} ({count})" for grade, count in counts.items() if count < FOLDS]
    if rare:
        note += f" Too few patients for every fold to have one: {', '.join(rare)}."
    return note
