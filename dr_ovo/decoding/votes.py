"""Votes of the pairs, plain or weighted, and the choice among classes with equal scores."""

from __future__ import annotations

import numpy as np

from dr_ovo.errors import UserError
from dr_ovo.pairs import class_pairs, pair_signs

# Scores nearer than this are a tie: sums of the same weights in another order differ by rounding.
TIE = 1e-9


def vote_scores(
    logits: np.ndarray, num_classes: int, pair_accuracy: np.ndarray | None = None
) -> np.ndarray:
    """Votes (N, C): one for the class each pair prefers, half for both where its logit is 0."""
    return _weighted_votes(logits, num_classes, np.ones(logits.shape[1]))


def weighted_scores(
    logits: np.ndarray, num_classes: int, pair_accuracy: np.ndarray | None
) -> np.ndarray:
    """Votes (N, C), each weighted by its pair's validation accuracy (P,), fractions.

    Raises UserError where an accuracy is missing or not a fraction.
    """
    count = len(class_pairs(num_classes))
    if pair_accuracy is None:
        raise UserError(
            "The decoder 'weighted' needs the validation accuracy of each pair, and none is "
            "known here. Evaluate on val first, or use 'coupling' or 'vote'."
        )
    weights = np.asarray(pair_accuracy, dtype=np.float64)
    if weights.shape != (count,) or not np.all((weights >= 0) & (weights <= 1)):
        raise UserError(
            f"The decoder 'weighted' needs {count} accuracies between 0 and 1, one for each "
            f"pair, not {weights.tolist()}. Use 'coupling' or 'vote', or a val split with "
            "images of every class."
        )
    return _weighted_votes(logits, num_classes, weights)


def _weighted_votes(logits: np.ndarray, num_classes: int, weights: np.ndarray) -> np.ndarray:
    signs = pair_signs(class_pairs(num_classes), num_classes)  # (C, P)
    # A pair's vote for its b is (1 + sign) / 2, for its a (1 - sign) / 2.
    return ((np.sign(logits) * weights) @ signs.T + weights @ np.abs(signs).T) / 2


def preferred_class(scores: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The class (N,) with the highest score; among equals, with the highest signed confidence.

    `scores` and `confidence` are (N, C). Where the confidence is equal too, the logits say
    nothing at all between the classes, and the highest of them is taken: an image that may show
    disease is looked at again.
    """
    tied = scores >= scores.max(axis=1, keepdims=True) - TIE
    among = np.where(tied, confidence, -np.inf)
    tied &= among >= among.max(axis=1, keepdims=True) - TIE
    return scores.shape[1] - 1 - tied[:, ::-1].argmax(axis=1)
