"""Fits the temperature and the operating points on val's calibration share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from dr_ovo.decoding.expected_grade import expected_grade, fit_thresholds, grade_of
from dr_ovo.decoding.heads import EXPECTED, HEADS
from dr_ovo.decoding.tempering import log_probabilities, temper
from dr_ovo.predictions.calibration_file import TEMPERATURES, Calibration
from dr_ovo.predictions.conformal import fit_conformal
from dr_ovo.predictions.operating_points import CONDITIONS, fit_operating_points
from dr_ovo.predictions.predictions_file import Predictions

SHARE = 0.3
MIN_IMAGES = 200  # a smaller val is not split
MIN_PATIENTS = 10  # a grade with fewer patients stays in the selection share


def calibration_share(
    sample_ids: np.ndarray, patient_ids: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """(N,) bool: val's samples kept out of model selection; no patient is on both sides.

    Of each grade 0.3 of the patients, first in the order of the sha256 of the patient id (of the
    sample id where the patient is unknown, ""). The worst of a patient's images gives the grade.
    Grades with fewer than 10 patients give none, and a val of fewer than 200 images is not split.
    """
    if len(targets) < MIN_IMAGES:
        return np.zeros(len(targets), dtype=bool)
    owners = np.where(np.asarray(patient_ids) == "", sample_ids, patient_ids)
    patients, of_sample = np.unique(owners, return_inverse=True)
    patient_grades = np.full(len(patients), -1)
    np.maximum.at(patient_grades, of_sample, targets)
    hashes = np.array(
        [
            hashlib.sha256(patient.encode("utf-8", "surrogateescape")).hexdigest()
            for patient in patients
        ]
    )
    chosen = np.zeros(len(patients), dtype=bool)
    for grade in np.unique(patient_grades):
        members = np.flatnonzero(patient_grades == grade)
        if len(members) >= MIN_PATIENTS:
            ordered = members[np.argsort(hashes[members])]
            chosen[ordered[: round(SHARE * len(members))]] = True
    return chosen[of_sample]


def fit_calibration(val: Predictions, chosen: Sequence[str]) -> Calibration:
    """Temperature and thresholds from val's calibration share, or from all of val without one; the
    thresholds of the expected grade, if that is what decodes, from the selection share. `chosen`:
    what these photographs have chosen of the probabilities, as in `Conformal`."""
    divided = bool(val.calibration.any())
    used = val.calibration if divided else np.ones(len(val.targets), dtype=bool)
    targets, probabilities = val.targets[used], val.probabilities[used]
    points = {name: fit_operating_points(name, targets, probabilities) for name in CONDITIONS}
    temperature = fit_temperature(targets, probabilities)
    thresholds = None
    if has_grade_thresholds(val):
        values = expected_grade(temper(val.probabilities, temperature))
        selection = ~val.calibration
        thresholds = fit_thresholds(values[selection], val.targets[selection], val.num_classes)
    absent = sorted({*val.targets.tolist()} - {*targets.tolist()})
    if absent:
        names = ", ".join(str(val.class_names[grade]) for grade in absent)
        chosen = [*chosen, f"grade {names} has too few patients in val, and none among them"]
    return Calibration(
        temperature,
        **points,
        n=len(targets),
        divided=divided,
        grade_thresholds=thresholds,
        conformal=fit_conformal(val, used, tuple(chosen)),
    )


def has_grade_thresholds(predictions: Predictions) -> bool:
    """Whether the grades of a model come from the expected one by thresholds that its calibration
    holds; those of a head that answers with a number stand in its checkpoint, those of an ensemble
    in its manifest."""
    head = HEADS.get(predictions.head)
    return predictions.decoder == EXPECTED and head is not None and not head.is_number


def graded(predictions: Predictions, calibration: Calibration) -> Predictions:
    """The predictions with the grades that the calibration's thresholds give, where it has them."""
    if not has_grade_thresholds(predictions):
        return predictions
    values = expected_grade(temper(predictions.probabilities, calibration.temperature))
    grades = grade_of(values, predictions.num_classes, calibration.grade_thresholds)
    return replace(predictions, predicted=grades)


def fit_temperature(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature, 0.05 to 20, that minimises the log loss of (N, C) on classes (N,).

    It divides the log probabilities (Guo et al. 2017), in the same way for every head.
    """
    logs, rows = log_probabilities(probabilities), np.arange(len(targets))

    def log_loss(log_temperature: float) -> float:
        return -float(log_softmax(logs / np.exp(log_temperature), axis=1)[rows, targets].mean())

    # Convex in 1 / temperature, so a bounded search finds the global minimum.
    result = minimize_scalar(log_loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(result.x))


def tempered_log_loss(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean log loss, in nats, of (N, C) on classes (N,) at the temperature that minimises it; NaN
    without samples. Focal loss and smoothing leave probabilities too soft, which is no fault of the
    network's ranking."""
    if not len(targets):
        return float("nan")
    tempered = temper(probabilities, fit_temperature(targets, probabilities))
    return -float(log_probabilities(tempered)[np.arange(len(targets)), targets].mean())
