"""Decoders of one-vs-one logits, and heads: from logits to grades and probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dr_ovo.decoding.coupling import coupled_probabilities
from dr_ovo.decoding.heads import logit_width, ordinal_probabilities, softmax_probabilities
from dr_ovo.decoding.votes import preferred_class, vote_scores, weighted_scores
from dr_ovo.errors import UserError
from dr_ovo.pairs import class_pairs, pair_signs


def _coupling_scores(
    logits: np.ndarray, num_classes: int, pair_accuracy: np.ndarray | None
) -> np.ndarray:
    return coupled_probabilities(logits, num_classes)


Decoder = Callable[[np.ndarray, int, "np.ndarray | None"], np.ndarray]
DECODERS: dict[str, Decoder] = {
    "coupling": _coupling_scores,
    "weighted": weighted_scores,
    "vote": vote_scores,
}
HEAD_PROBABILITIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "softmax": softmax_probabilities,
    "ordinal": ordinal_probabilities,
}


def decode(
    head: str,
    logits: np.ndarray,
    num_classes: int,
    decoder: str = "coupling",
    pair_accuracy: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted classes (N,), int64, and class probabilities (N, C), float64.

    `head` is `ovo` with `logits` (N, P), `softmax` with (N, C) or `ordinal` with (N, C-1), where
    logit k > 0 means a class above k. For `ovo` the decoder chooses the class, and the
    probabilities always come from `coupling`; for the other heads the class is the most probable
    one and `decoder` is ignored. `weighted` needs `pair_accuracy` (P,), as fractions.

    Raises UserError for an unknown head or decoder, for logits of the wrong width, and for
    `weighted` without accuracies.
    """
    logits = np.asarray(logits, dtype=np.float64)
    _check(head, logits, num_classes, decoder)
    if head != "ovo":
        probabilities = HEAD_PROBABILITIES[head](logits)
        return probabilities.argmax(axis=1), probabilities
    scores = DECODERS[decoder](logits, num_classes, pair_accuracy)
    confidence = logits @ pair_signs(class_pairs(num_classes), num_classes).T
    return preferred_class(scores, confidence), coupled_probabilities(logits, num_classes)


def _check(head: str, logits: np.ndarray, num_classes: int, decoder: str) -> None:
    width = logit_width(head, num_classes)
    if logits.ndim != 2 or logits.shape[1] != width:
        raise UserError(
            f"The head '{head}' with {num_classes} classes gives {width} logits per sample; "
            f"these have shape {logits.shape}. Check the number of classes and the head."
        )
    if head == "ovo" and decoder not in DECODERS:
        raise UserError(f"Unknown decoder '{decoder}'. Use one of: {', '.join(DECODERS)}.")
