"""Decoders: from logits to grades and probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dr_ovo.decoding.expected_grade import expected_grade, grade_of
from dr_ovo.decoding.grade_scale import GradeScale
from dr_ovo.decoding.heads import ARGMAX, EXPECTED, Head, head_of
from dr_ovo.decoding.tempering import temper
from dr_ovo.decoding.votes import preferred_class, vote_scores, weighted_scores
from dr_ovo.errors import UserError
from dr_ovo.pairs import class_pairs, pair_signs

Decoder = Callable[[np.ndarray, int, "np.ndarray | None"], np.ndarray]
VOTES: dict[str, Decoder] = {"weighted": weighted_scores, "vote": vote_scores}
DECODERS = ("coupling", *VOTES)  # of pair logits alone


@dataclass(frozen=True)
class Fitted:
    """What was fitted for decoding, on val or out of fold.

    `scale`: of a head that answers with a number. `thresholds` (C-1,) of the expected grade, None
    for rounding; `temperature`: of the probabilities that it is expected by. `prior_shift` (K,) is
    taken from the logits: what class weights or sampling in training added to them.
    """

    scale: GradeScale | None = None
    thresholds: tuple[float, ...] | None = None
    temperature: float = 1.0
    prior_shift: tuple[float, ...] | None = None


UNFITTED = Fitted()


def decode(
    head: str,
    logits: np.ndarray,
    num_classes: int,
    decoder: str = "coupling",
    pair_accuracy: np.ndarray | None = None,
    fitted: Fitted = UNFITTED,
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted classes (N,), int64, and class probabilities (N, C), float64, not tempered.

    `logits` (N, K) are those of the head, as `HEADS` says; those of pairs are in the toolkit's
    order, and logit k > 0 of `ordinal` means a class above k. The decoder chooses the class; a head
    that does not have it uses its own usual one. `weighted` needs `pair_accuracy` (P,), as
    fractions.

    Raises UserError for an unknown head or decoder, for logits of the wrong width, and for
    `weighted` without accuracies.
    """
    table, logits = head_of(head), np.asarray(logits, dtype=np.float64)
    _check(head, table, logits, num_classes, decoder, fitted)
    if fitted.prior_shift is not None:
        logits = logits - np.array(fitted.prior_shift)
    probabilities = table.probabilities(logits, num_classes, fitted.scale)
    used = table.decoder(decoder)
    if used == EXPECTED:
        values = number_of(table, logits, probabilities, fitted.temperature)
        return grade_of(values, num_classes, fitted.thresholds), probabilities
    if used == ARGMAX:
        return probabilities.argmax(axis=1), probabilities
    scores = VOTES[used](logits, num_classes, pair_accuracy) if used in VOTES else probabilities
    confidence = logits @ pair_signs(class_pairs(num_classes), num_classes).T
    return preferred_class(scores, confidence), probabilities


def number_of(
    head: Head, logits: np.ndarray, probabilities: np.ndarray, temperature: float
) -> np.ndarray:
    """(N,) the expected grade: the answer of a head that is a number, else the mean by the tempered
    probabilities."""
    if head.is_number:
        return logits[:, 0]
    return expected_grade(temper(probabilities, temperature))


def _check(
    head: str, table: Head, logits: np.ndarray, num_classes: int, decoder: str, fitted: Fitted
) -> None:
    width = table.outputs(num_classes)
    if logits.ndim != 2 or logits.shape[1] != width:
        raise UserError(
            f"The head '{head}' with {num_classes} classes gives {width} logits per sample; "
            f"these have shape {logits.shape}. Check the number of classes and the head."
        )
    if fitted.scale is not None and len(fitted.scale.cutpoints) != num_classes - 1:
        raise UserError(
            f"There are {len(fitted.scale.cutpoints)} cutpoints between the grades, and "
            f"{num_classes} classes need {num_classes - 1}: the checkpoint or the manifest that "
            "holds them is damaged. Restore it."
        )
    if table.paired and decoder not in table.decoders:
        raise UserError(f"Unknown decoder '{decoder}'. Use one of: {', '.join(table.decoders)}.")
