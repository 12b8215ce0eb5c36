"""Several models as one: the mean of their probabilities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dr_ovo.errors import UserError
from dr_ovo.evaluation.predictions import Predictions, log_probabilities


def mean_predictions(members: list[Predictions]) -> Predictions:
    """The mean of the members' probabilities, the most probable class predicted.

    The members saw the same samples in the same order; raises UserError otherwise.
    """
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
    probabilities = np.mean([member.probabilities for member in members], axis=0)
    return replace(
        first,
        head="ensemble",
        decoder="mean",
        pairs=np.zeros((0, 2), dtype=np.int64),
        logits=log_probabilities(probabilities),
        probabilities=probabilities,
        predicted=probabilities.argmax(axis=1),
    )
