"""Fits the temperature on val's calibration share; reads and writes calibration.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.predictions.operating_points import (
    CONDITIONS,
    OperatingPoint,
    OperatingPoints,
    fit_operating_points,
)
from dr_ovo.predictions.predictions_file import Predictions, log_probabilities

SCHEMA = 1
SHARE = 0.3
MIN_IMAGES = 200  # a smaller val is not split
MIN_PATIENTS = 10  # a grade with fewer patients stays in the selection share
TEMPERATURES = (0.05, 20.0)  # search range


@dataclass(frozen=True)
class Calibration:
    """What was fitted on `n` images of val.

    `divided`: val was split, and these images took no part in model selection.
    """

    temperature: float
    referable: OperatingPoints
    vision_threatening: OperatingPoints
    n: int
    divided: bool

    def to_json(self) -> dict[str, Any]:
        """The content of calibration.json."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Calibration:
        """The calibration in calibration.json's content; raises UserError for another schema."""
        if data.get("schema") != SCHEMA:
            raise UserError(
                f"This calibration has schema {data.get('schema')}; this version reads "
                f"schema {SCHEMA}. Evaluate the model again."
            )
        points = {
            name: OperatingPoints(**{key: OperatingPoint(**p) for key, p in data[name].items()})
            for name in CONDITIONS
        }
        return cls(data["temperature"], **points, n=data["n"], divided=data["divided"])


def save_calibration(path: Path | str, calibration: Calibration, marks: Sequence[str] = ()) -> None:
    """Write calibration.json with its `marks` (LEAKY, ...); raises MachineError if that fails."""
    write_json(path, calibration.to_json() | {mark.lower(): True for mark in marks})


def load_calibration(path: Path | str) -> Calibration:
    """The calibration in a file; raises UserError where it is missing or damaged."""
    try:
        return Calibration.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} can't be read as a calibration ({error!r}). Evaluate the model again."
        ) from error


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
    hashes = np.array([hashlib.sha256(patient.encode()).hexdigest() for patient in patients])
    chosen = np.zeros(len(patients), dtype=bool)
    for grade in np.unique(patient_grades):
        members = np.flatnonzero(patient_grades == grade)
        if len(members) >= MIN_PATIENTS:
            ordered = members[np.argsort(hashes[members])]
            chosen[ordered[: round(SHARE * len(members))]] = True
    return chosen[of_sample]


def fit_calibration(val: Predictions) -> Calibration:
    """Temperature and thresholds from val's calibration share, or from all of val without one."""
    divided = bool(val.calibration.any())
    used = val.calibration if divided else np.ones(len(val.targets), dtype=bool)
    targets, probabilities = val.targets[used], val.probabilities[used]
    points = {name: fit_operating_points(name, targets, probabilities) for name in CONDITIONS}
    temperature = fit_temperature(targets, probabilities)
    return Calibration(temperature, **points, n=len(targets), divided=divided)


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


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (N, C) to the power 1 / temperature, renormalised."""
    return np.exp(log_softmax(log_probabilities(probabilities) / temperature, axis=1))
