"""An ensemble whose figures on val don't flatter: each sample is combined by others' weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dr_ovo.ensembles.combination import ensemble_predictions, replaced
from dr_ovo.ensembles.weights import MemberPredictions, is_fitted, weigher
from dr_ovo.predictions.calibration import Calibration, fit_calibration
from dr_ovo.predictions.predictions_file import Predictions

FOLDS = 5
MIN_PATIENTS = 25  # five a fold


@dataclass(frozen=True, eq=False)
class FittedEnsemble:
    """Members combined, with everything that val decided about them."""

    method: str
    weights: np.ndarray  # (M,) from all of val's selection share; sum 1
    fold_weights: np.ndarray  # (5, M), or (0, M) where nothing was cross-fitted
    val: Predictions  # cross-fitted on the selection share
    calibration: Calibration
    note: str  # what to know about the figures on val

    def on(self, members: Sequence[Predictions]) -> Predictions:
        """The ensemble's answers where the members answered, such as on test."""
        return ensemble_predictions(members, self.method, self.weights)


def fit_ensemble(
    val: Sequence[Predictions], method: str, weight_by: str = "accuracy"
) -> FittedEnsemble:
    """The ensemble of models that answered on val: weights from its selection share alone.

    Temperature and operating points come from the calibration share, where the weights are those
    of the whole selection share; val that was not divided serves both.
    """
    answers, selected = MemberPredictions.of(val), ~val[0].calibration
    selection = answers.samples(selected)
    weights = weigher(method, weight_by)(selection)
    grades, probabilities = answers.combined(method, weights)
    own_grades, own_probabilities, fold_weights = cross_fitted(selection, method, weight_by)
    grades[selected], probabilities[selected] = own_grades, own_probabilities
    together = replaced(val[0], method, grades, probabilities)
    note = _note(selection, method)
    return FittedEnsemble(method, weights, fold_weights, together, fit_calibration(together), note)


def cross_fitted(
    selection: MemberPredictions, method: str, weight_by: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grades (N,), probabilities (N, C), and the weights (5, M) of the five patient folds.

    Each fold is combined by weights that were fitted on the others. Without folds, (0, M), where
    the method fits nothing, or where there are fewer than 25 patients: then the weights have seen
    the samples that they are used on.
    """
    weigh = weigher(method, weight_by)
    if not is_fitted(method) or _few(selection):
        grades, probabilities = selection.combined(method, weigh(selection))
        return grades, probabilities, np.zeros((0, len(selection.grades)))
    folds = patient_folds(selection.patients, selection.targets)
    grades = np.empty_like(selection.targets)
    probabilities = np.empty(selection.probabilities.shape[1:])
    fold_weights = []
    for fold in range(FOLDS):
        own = folds == fold
        fold_weights.append(weigh(selection.samples(~own)))
        found = selection.samples(own).combined(method, fold_weights[-1])
        grades[own], probabilities[own] = found
    return grades, probabilities, np.array(fold_weights)


def patient_folds(patients: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(N,) fold 0 to 4 of each sample; no patient is in two, each has its part of every grade.

    Patients are dealt out in the order of their worst grade and, within it, of their sha256.
    """
    distinct, of_sample = np.unique(patients, return_inverse=True)
    worst = np.full(len(distinct), -1)
    np.maximum.at(worst, of_sample, targets)
    hashes = np.array([hashlib.sha256(patient.encode()).hexdigest() for patient in distinct])
    folds = np.empty(len(distinct), dtype=np.int64)
    folds[np.lexsort((hashes, worst))] = np.arange(len(distinct)) % FOLDS
    return folds[of_sample]


def _few(selection: MemberPredictions) -> bool:
    return len(np.unique(selection.patients)) < MIN_PATIENTS


def _note(selection: MemberPredictions, method: str) -> str:
    if not is_fitted(method):
        return "Nothing is fitted to val but temperature and thresholds: no weights to cross-fit."
    patients, images = len(np.unique(selection.patients)), len(selection.targets)
    if _few(selection):
        return (
            f"Val has {patients} patients to fit weights on, fewer than the {MIN_PATIENTS} that "
            f"{FOLDS} folds need: its figures come from the images that the weights were fitted "
            "on, and flatter."
        )
    note = (
        f"Weights come from {images} images of {patients} patients of val; its figures are "
        f"cross-fitted in {FOLDS} patient folds."
    )
    counts = {
        int(grade): len(np.unique(selection.patients[selection.targets == grade]))
        for grade in range(selection.probabilities.shape[2])
    }
    rare = [f"grade {grade} ({count})" for grade, count in counts.items() if count < FOLDS]
    if rare:
        note += f" Too few patients for a part in every fold: {', '.join(rare)}."
    return note
