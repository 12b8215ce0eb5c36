"""Patient-level predictions: the worse eye of each patient counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dr_ovo.decoding.tempering import log_probabilities
from dr_ovo.predictions.predictions_file import Predictions

SINGLE = "no patient has two images, so figures per patient would equal those per image"


def per_patient(p: Predictions) -> Predictions:
    """One sample per patient, in the order of patient ids: the worse eye's grade.

    Target and prediction are the highest grade among the patient's images. P(grade >= k) is the
    largest among the images: it reaches a threshold exactly where one of the images does, and it
    is a lower bound of the probability for the patient's worst grade, however the eyes depend on
    each other (reached where they agree). Treating the images as independent, 1 - prod(1 - P),
    would overestimate disease more, the more images a patient has.
    The quality is that of the patient's worst photograph, NaN where one is unknown.
    """
    patients, of_image = np.unique(p.patient_ids, return_inverse=True)
    count = len(patients)

    def worst(values: np.ndarray) -> np.ndarray:
        maxima = np.full((count, *values.shape[1:]), -np.inf)
        with np.errstate(invalid="ignore"):  # an unknown quality stays unknown
            np.maximum.at(maxima, of_image, values)
        return maxima

    at_least = worst(np.cumsum(p.probabilities[:, ::-1], axis=1)[:, ::-1])
    at_least[:, 0] = 1.0
    below = np.concatenate([at_least[:, 1:], np.zeros((count, 1))], axis=1)
    probabilities = (at_least - below).clip(min=0)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return replace(
        p,
        head="ensemble",
        decoder="worse eye",
        sample_ids=patients,
        patient_ids=patients,
        eyes=np.full(count, ""),
        quality=-worst(-p.quality),
        calibration=worst(p.calibration.astype(np.float64)) > 0,
        targets=worst(p.targets).astype(np.int64),
        predicted=worst(p.predicted).astype(np.int64),
        pairs=np.zeros((0, 2), dtype=np.int64),
        logits=log_probabilities(probabilities),
        probabilities=probabilities,
    )


def patient_counts(patients: np.ndarray) -> dict[str, Any]:
    """The number of distinct patients in (N,), and of those with a single image, which is then the
    worse eye; {"value": None, "reason"} where every patient has a single image."""
    _, images = np.unique(patients, return_counts=True)
    if (images < 2).all():
        return {"value": None, "reason": SINGLE}
    return {"n_patients": len(images), "n_single_image": int((images == 1).sum())}
