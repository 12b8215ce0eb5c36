"""Ensemble methods (mean, weighted, greedy, vote): how members' predictions are combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.expected_grade import expected_grade, grade_of
from dr_ovo.decoding.heads import EXPECTED
from dr_ovo.decoding.tempering import log_probabilities, temper
from dr_ovo.decoding.votes import preferred_class
from dr_ovo.errors import UserError
from dr_ovo.predictions.predictions_file import Predictions, marks_of

METHODS = ("mean", "weighted", "greedy", "vote")


def combine(
    method: str,
    grades: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray,
    expected: Fitted | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Grades (N,) and probabilities (N, C) of the ensemble.

    `grades` (M, N) and `probabilities` (M, N, C) are the members', tempered; `weights` (M,) sum to
    1. The probabilities are the weighted mean for every method. The grade is the most probable one,
    or, with `expected`, comes from the expected one by those thresholds; `vote` instead takes the
    grade that most members predict and, among tied grades, the one with the largest summed
    probability. Shares of votes would make poor probabilities: with seven members they take only
    eight different values.
    """
    mean = np.tensordot(weights, probabilities, axes=1)
    if expected is not None and method != "vote":
        return grade_of(expected_grade(mean), mean.shape[1], expected.thresholds), mean
    scores = mean
    if method == "vote":
        scores = (grades[:, :, None] == np.arange(mean.shape[1])).sum(axis=0)
    return preferred_class(scores, mean), mean


def grade_from_expected(members: Sequence[Predictions]) -> bool:
    """Whether an ensemble takes its grades from the expected one, as all of its members do."""
    return all(member.decoder == EXPECTED for member in members)


def tempered(predictions: Predictions, temperature: float) -> Predictions:
    """The predictions of a member as an ensemble uses them: its probabilities tempered."""
    return replace(predictions, probabilities=temper(predictions.probabilities, temperature))


def ensemble_predictions(
    members: Sequence[Predictions],
    method: str,
    weights: np.ndarray,
    expected: Fitted | None = None,
) -> Predictions:
    """The members, whose probabilities are tempered, as one model, by `combine`.

    The members must have the same samples in the same order; raises UserError otherwise.
    """
    _check_alike(members)
    predicted, probabilities = combine(
        method,
        np.stack([member.predicted for member in members]),
        np.stack([member.probabilities for member in members]),
        weights,
        expected,
    )
    combined = replaced(members[0], method, predicted, probabilities)
    return replace(combined, marks=np.array(marks_of([], members), np.str_))


def mean_predictions(members: Sequence[Predictions]) -> Predictions:
    """The ensemble by the mean of the members' probabilities, as they are given.

    The members must have the same samples in the same order; raises UserError otherwise.
    """
    _check_alike(members)
    return ensemble_predictions(members, "mean", np.full(len(members), 1 / len(members)))


def replaced(
    template: Predictions, method: str, predicted: np.ndarray, probabilities: np.ndarray
) -> Predictions:
    """An ensemble's predictions on the samples of `template`."""
    return replace(
        template,
        head="ensemble",
        decoder=method,
        pairs=np.zeros((0, 2), dtype=np.int64),
        logits=log_probabilities(probabilities),
        probabilities=probabilities,
        predicted=predicted,
    )


def _check_alike(members: Sequence[Predictions]) -> None:
    if not members:
        raise UserError("There are no predictions to average. Name at least one model.")
    first = members[0]
    for member in members[1:]:
        for name in ("class_names", "sample_ids", "targets"):
            if not np.array_equal(getattr(first, name), getattr(member, name)):
                raise UserError(
                    f"The predictions to average differ in their {name.replace('_', ' ')}: they "
                    "come from different data. Evaluate all models on the same dataset."
                )
