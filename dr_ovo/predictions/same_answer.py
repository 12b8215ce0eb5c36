"""Networks that have stopped learning: every image gets the same answer from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dr_ovo.predictions.predictions_file import Predictions

SAME = 1e-4  # the widest range over all images; rounding makes some 1e-7, a network that learns 1
MIN_IMAGES = 20  # of which all have one grade by chance only where they are alike
ADVICE = "Train again with a lower --learning_rate."


def same_for_all(logits: np.ndarray) -> np.ndarray:
    """(K,) bool: which of the logits (N, K) are the same for every image; none of fewer than 2."""
    if len(logits) < 2:
        return np.zeros(logits.shape[1], dtype=bool)
    found: np.ndarray = np.ptp(logits, axis=0) < SAME
    return found


def stopped_parts(predictions: Predictions) -> list[str]:
    """What of a model has stopped learning: the head's name for all of it, else its pairs."""
    same = same_for_all(predictions.logits)
    if same.all():
        return [predictions.head]
    if not len(predictions.pairs):
        return []
    return [f"{a}-{b}" for a, b in predictions.pairs[same].tolist()]


def only_grade(predictions: Predictions) -> str | None:
    """The grade that every image gets, though its logits differ and the images have several; None
    for fewer than MIN_IMAGES, and where there is no such grade."""
    grades = np.unique(predictions.predicted)
    few = len(predictions.predicted) < MIN_IMAGES
    if few or len(grades) != 1 or len(np.unique(predictions.targets)) < 2:
        return None
    return str(predictions.class_names[grades[0]])


def stopped_members(members: Iterable[tuple[str, Predictions]]) -> list[str]:
    """What has stopped learning, of several models and what they say, each with its name."""
    found = []
    for name, predictions in members:
        found += named_parts(name, predictions.head, stopped_parts(predictions))
    return found


def named_parts(name: str, head: str, parts: Sequence[str]) -> list[str]:
    """What of a model has stopped learning, with its name; the name alone for all of it, which is
    among `parts` as its `head`."""
    return [name] if head in parts else [f"{name} {part}" for part in parts]


def stopped_words(names: Iterable[str]) -> str:
    """That these models, members or pairs have stopped learning."""
    return f"Stopped learning (every image gets the same answer): {', '.join(names)}."
