"""Decoders `vote` and `weighted`: votes of the pairs, their weights, and how ties are broken."""

from __future__ import annotations

import numpy as np

from dr_ovo.errors import UserError
from dr_ovo.pairs import class_pairs, pair_signs

# Scores closer than this are tied: sums of the same weights differ by rounding with their order.
TIE = 1e-9


def vote_scores(
    logits: np.ndarray, num_classes: int, pair_accuracy: np.ndarray | None = None
) -> np.ndarray:
    """Votes (N, C): one for the class that each pair prefers, half to each where its logit is 0."""
    return _weighted_votes(logits, num_classes, np.ones(logits.shape[1]))


def weighted_scores(
    logits: np.ndarray, num_classes: int, pair_accuracy: np.ndarray | None
) -> np.ndarray:
    """Votes (N, C), each weighted by its pair's validation accuracy (P,), fractions.

    Raises UserError where an accuracy is missing or outside [0, 1].
    """
    count = len(class_pairs(num_classes))
    if pair_accuracy is None:
        raise UserError(
            "The decoder 'weighted' needs the validation accuracy of each pair, which is "
            "not known here. Evaluate on val first, or use 'coupling' or 'vote'."
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
    # A pair (a, b) gives b (1 + sign) / 2 of a vote, and a (1 - sign) / 2.
    return ((np.sign(logits) * weights) @ signs.T + weights @ np.abs(signs).T) / 2


def preferred_class(scores: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The class (N,) with the highest score; ties are broken by the highest signed confidence.

    `scores` and `confidence` are (N, C). Where the confidence is tied as well, the logits do not
    distinguish the classes at all, and the highest class wins: an image that may show disease
    should be seen by a person.
    """
    tied = scores >= scores.max(axis=1, keepdims=True) - TIE
    tied_confidence = np.where(tied, confidence, -np.inf)
    tied &= tied_confidence >= tied_confidence.max(axis=1, keepdims=True) - TIE
    return scores.shape[1] - 1 - tied[:, ::-1].argmax(axis=1)
