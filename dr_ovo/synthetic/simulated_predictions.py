"""Predictions of simulated models, with exactly known accuracy and error correlation.

A model is right on an image if a standard-normal "difficulty" is below its skill. One share of the
variance of the difficulty belongs to the patient and one to the image, both common to all models;
the rest is specific to the model. Hence the difficulties of any two models correlate by the sum of
the shares, and the probability that both are wrong follows from a bivariate normal distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from dr_ovo.decoding.tempering import log_probabilities
from dr_ovo.predictions.predictions_file import Predictions

PREVALENCE = (0.60, 0.10, 0.18, 0.07, 0.05)
# Some grades are harder for every model: subtracted from the skill, in standard deviations.
HARDER = np.array([-0.3, 0.8, 0.1, 0.3, 0.0])
EYES_ALIKE = 0.8  # correlation of the two eyes' severity
NEIGHBOUR = 0.85  # share of wrong answers that are one grade off
ACCURACIES = {
    "coatnet": 0.84,
    "convnext": 0.83,
    "swinv2": 0.82,
    "densenet121": 0.78,
    "efficientnetb2": 0.80,
    "resnet50": 0.76,
    "seresnext50": 0.79,
}


@dataclass(frozen=True)
class Simulation:
    """Models with the given accuracies, and the shares of the difficulty common to all of them."""

    accuracies: tuple[float, ...]
    by_patient: float = 0.25
    by_image: float = 0.25

    @property
    def correlation(self) -> float:
        """The correlation of any two models' difficulties on one image."""
        return self.by_patient + self.by_image

    @cached_property
    def skills(self) -> np.ndarray:
        """(M,) skills that give each model its accuracy over all grades."""
        return np.array([_skill(accuracy) for accuracy in self.accuracies])

    def recalls(self) -> np.ndarray:
        """(M, 5): the true recall of each model on each grade."""
        return np.asarray(ndtr(self.skills[:, None] - HARDER))

    def both_wrong(self, first: int, second: int) -> float:
        """The true probability that two models are wrong on the same image."""
        missed = -(self.skills[:, None] - HARDER)[[first, second]].T  # (5, 2)
        both = [_both_below(one, other, self.correlation) for one, other in missed]
        return float(np.dot(PREVALENCE, both))

    def draw(self, patients: int, eyes: int, seed: int) -> list[Predictions]:
        """Each model's predictions on `eyes` (1 or 2) images per patient."""
        random = np.random.default_rng(seed)
        count = patients * eyes
        of_patient = np.repeat(np.arange(patients), eyes)
        targets = _grades(random, of_patient, patients)
        common = self.by_patient**0.5 * random.standard_normal(patients)[of_patient]
        common += self.by_image**0.5 * random.standard_normal(count)
        own = (1 - self.correlation) ** 0.5
        answers = []
        for skill in self.skills:
            difficulty = common + own * random.standard_normal(count)
            margin = skill - HARDER[targets] - difficulty
            predicted, probabilities = _answers(random, targets, margin)
            answers.append(_predictions(targets, predicted, probabilities, of_patient, eyes))
        return answers


def _both_below(first: float, second: float, correlation: float) -> float:
    """The probability that two standard-normal variables with this correlation, below 1 in size,
    are below `first` and `second`."""
    spread = (1 - correlation**2) ** 0.5

    def density(value: float) -> float:
        """That of the first at `value`, times the probability that the second then is below."""
        below = ndtr((second - correlation * value) / spread)
        return float(np.exp(-(value**2) / 2) / (2 * np.pi) ** 0.5 * below)

    return float(quad(density, -np.inf, first, epsabs=1e-10)[0])


def _skill(accuracy: float) -> float:
    def excess(skill: float) -> float:
        return float(np.dot(PREVALENCE, ndtr(skill - HARDER))) - accuracy

    return float(brentq(excess, -5, 5))


def _grades(random: np.random.Generator, of_patient: np.ndarray, patients: int) -> np.ndarray:
    """(N,) grades with the given prevalence, correlated between the eyes of a patient."""
    severity = EYES_ALIKE**0.5 * random.standard_normal(patients)[of_patient]
    severity += (1 - EYES_ALIKE) ** 0.5 * random.standard_normal(len(of_patient))
    return np.searchsorted(ndtri(np.cumsum(PREVALENCE)[:-1]), severity).astype(np.int64)


def _answers(
    random: np.random.Generator, targets: np.ndarray, margin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Grades (N,) and probabilities (N, 5): right where the margin (N,) is positive, and the more
    confident the larger its size; the true grade is second after a wrong answer."""
    classes, count = len(PREVALENCE), len(targets)
    wrong_step = np.where(random.random(count) < 0.5, -1, 1)
    wrong_step = np.where((targets + wrong_step < 0) | (targets + wrong_step >= classes),
                          -wrong_step, wrong_step)  # fmt: skip
    further = random.integers(1, classes, size=count)
    near = random.random(count) < NEIGHBOUR
    wrong = np.where(near, targets + wrong_step, (targets + further) % classes)
    predicted = np.where(margin > 0, targets, wrong)
    confidence = 0.40 + 0.59 * (2 * ndtr(np.abs(margin)) - 1)
    weights = np.exp(-np.abs(np.arange(classes) - targets[:, None]) / 0.8)
    weights *= random.uniform(0.8, 1.2, size=weights.shape)
    rows = np.arange(count)
    weights[rows, predicted] = 0.0
    weights *= ((1 - confidence) / weights.sum(axis=1))[:, None]
    # The second grade stays below the answer, so that the argmax is the answer.
    weights[rows, predicted] = np.maximum(confidence, 1.05 * weights.max(axis=1))
    return predicted, weights / weights.sum(axis=1, keepdims=True)


def _predictions(
    targets: np.ndarray,
    predicted: np.ndarray,
    probabilities: np.ndarray,
    of_patient: np.ndarray,
    eyes: int,
) -> Predictions:
    count = len(targets)
    side = np.tile(["left", "right"][:eyes], count // eyes)
    patients = np.array([f"simulated{number:06d}" for number in of_patient])
    ids = [f"{g}/{p}_{s}.png" for g, p, s in zip(targets, patients, side, strict=True)]
    return Predictions(
        head="softmax",
        decoder="argmax",
        class_names=np.array([str(grade) for grade in range(len(PREVALENCE))]),
        sample_ids=np.array(ids),
        patient_ids=patients,
        eyes=side,
        quality=np.full(count, np.nan),
        calibration=np.zeros(count, dtype=bool),
        targets=targets,
        predicted=predicted,
        pairs=np.zeros((0, 2), dtype=np.int64),
        logits=log_probabilities(probabilities),
        probabilities=probabilities,
    )
