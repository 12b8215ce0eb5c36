"""Ensemble methods (mean, weighted, greedy, vote): how members' predictions are combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dr_ovo.decoding.tempering import log_probabilities
from dr_ovo.decoding.votes import preferred_class
from dr_ovo.errors import UserError
from dr_ovo.predictions.predictions_file import Predictions, marks_of

METHODS = ("mean", "weighted", "greedy", "vote")


def combine(
    method: str, grades: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Grades (N,) and probabilities (N, C) of the ensemble.

    `grades` (M, N) and `probabilities` (M, N, C) are the members', `weights` (M,) sum to 1. The
    probabilities are the weighted mean for every method. The grade is the most probable one;
    `vote` instead takes the grade that most members predict and, among tied grades, the one with
    the largest summed probability. Shares of votes would make poor probabilities: with seven
    members they take only eight different values.
    """
    mean = np.tensordot(weights, probabilities, axes=1)
    scores = mean
    if method == "vote":
        scores = (grades[:, :, None] == np.arange(mean.shape[1])).sum(axis=0)
    return preferred_class(scores, mean), mean


def ensemble_predictions(
    members: Sequence[Predictions], method: str, weights: np.ndarray
) -> Predictions:
    """The members as one model, by `combine`.

    The members must have the same samples in the same order; raises UserError otherwise.
    """
    _check_alike(members)
    predicted, probabilities = combine(
        method,
        np.stack([member.predicted for member in members]),
        np.stack([member.probabilities for member in members]),
        weights,
    )
    combined = replaced(members[0], method, predicted, probabilities)
    return replace(combined, marks=np.array(marks_of([], members), np.str_))


def mean_predictions(members: Sequence[Predictions]) -> Predictions:
    """The ensemble by the mean of the members' probabilities.

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
