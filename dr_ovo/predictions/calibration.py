"""The calibration share of val, and what it fixes: the temperature and the operating points."""

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
MIN_IMAGES = 200  # a smaller val is not divided
MIN_PATIENTS = 10  # a grade with fewer stays in selection
TEMPERATURES = (0.05, 20.0)  # the range searched


@dataclass(frozen=True)
class Calibration:
    """What was fitted on `n` images of val, which was `divided` or served selection as well."""

    temperature: float
    referable: OperatingPoints
    vision_threatening: OperatingPoints
    n: int
    divided: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values, as calibration.json holds them."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, held: dict[str, Any]) -> Calibration:
        """The calibration in `to_json`'s values; raises UserError for another schema."""
        if held.get("schema") != SCHEMA:
            raise UserError(
                f"This calibration has the schema {held.get('schema')}; this version reads "
                f"schema {SCHEMA}. Evaluate the model again."
            )
        points = {
            name: OperatingPoints(**{key: OperatingPoint(**p) for key, p in held[name].items()})
            for name in CONDITIONS
        }
        return cls(held["temperature"], **points, n=held["n"], divided=held["divided"])


def save_calibration(path: Path | str, calibration: Calibration, marks: Sequence[str] = ()) -> None:
    """Write calibration.json, with what must be said of it; raises MachineError where the disk
    refuses."""
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
    """(N,) bool: the samples of val left out of selection; no patient is on both sides.

    0.3 of the patients of each grade (a patient's grade is the worst of their images), the first
    in the order of the sha256 of the patient, or of the sample where the patient is unknown
    (empty). Nothing of a grade with fewer than 10 patients, nothing of a val of fewer than 200
    images.
    """
    if len(targets) < MIN_IMAGES:
        return np.zeros(len(targets), dtype=bool)
    owners = np.where(np.asarray(patient_ids) == "", sample_ids, patient_ids)
    patients, of_sample = np.unique(owners, return_inverse=True)
    worst = np.full(len(patients), -1)
    np.maximum.at(worst, of_sample, targets)
    hashes = np.array([hashlib.sha256(patient.encode()).hexdigest() for patient in patients])
    chosen = np.zeros(len(patients), dtype=bool)
    for grade in np.unique(worst):
        members = np.flatnonzero(worst == grade)
        if len(members) >= MIN_PATIENTS:
            ordered = members[np.argsort(hashes[members])]
            chosen[ordered[: round(SHARE * len(members))]] = True
    return chosen[of_sample]


def fit_calibration(val: Predictions) -> Calibration:
    """Temperature and thresholds from val's calibration share, or all of val where it has none."""
    divided = bool(val.calibration.any())
    used = val.calibration if divided else np.ones(len(val.targets), dtype=bool)
    targets, probabilities = val.targets[used], val.probabilities[used]
    points = {name: fit_operating_points(name, targets, probabilities) for name in CONDITIONS}
    temperature = fit_temperature(targets, probabilities)
    return Calibration(temperature, **points, n=len(targets), divided=divided)


def fit_temperature(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature, 0.05 to 20, with the least log loss on classes (N,) and (N, C).

    One number on the log of the probabilities (Guo et al. 2017), the same for every head.
    """
    logs, rows = log_probabilities(probabilities), np.arange(len(targets))

    def log_loss(log_temperature: float) -> float:
        return -float(log_softmax(logs / np.exp(log_temperature), axis=1)[rows, targets].mean())

    # Convex in 1 / temperature, so a bounded search finds the only minimum.
    found = minimize_scalar(log_loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (N, C) to the power 1 / temperature, renormalised."""
    return np.exp(log_softmax(log_probabilities(probabilities) / temperature, axis=1))
