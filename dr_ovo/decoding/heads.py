"""Heads, as far as they need no torch: their logits, and the probabilities that these mean.

What torch has to know of a head stands in `dr_ovo/models/losses.py`, `TORCH_HEADS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from dr_ovo.decoding.coupling import coupled_probabilities
from dr_ovo.decoding.grade_scale import GradeScale, unfitted_scale
from dr_ovo.errors import UserError

ARGMAX, EXPECTED = "argmax", "expected"


@dataclass(frozen=True)
class Head:
    """A kind of answer: `outputs` is the number of logits for C classes, `probabilities` maps
    logits (N, K), C and a scale to (N, C).

    `decoders` are its ways to a grade, the usual one first. `paired`: a logit for each pair.
    `is_number`: its one logit is the grade as a number, and needs a scale.
    """

    outputs: Callable[[int], int]
    probabilities: Callable[[np.ndarray, int, GradeScale | None], np.ndarray]
    decoders: tuple[str, ...] = (ARGMAX, EXPECTED)
    paired: bool = False
    is_number: bool = False

    def decoder(self, asked: str) -> str:
        """The decoder that is used where one is `asked` for: those of pairs are for pairs."""
        return asked if asked in self.decoders else self.decoders[0]


def head_of(name: str) -> Head:
    """The head of that name. Raises UserError for an unknown one."""
    if name not in HEADS:
        raise UserError(f"Unknown head '{name}'. Use one of: {', '.join(HEADS)}.")
    return HEADS[name]


def decoder_option(decoder: str) -> str:
    """What `--decoder` takes where the decoder of some head is to be used: for heads without pairs,
    the option's default means the most probable grade."""
    return HEADS["ovo"].decoders[0] if decoder == ARGMAX else decoder


def logit_width(head: str, num_classes: int) -> int:
    """The number of logits per sample. Raises UserError for an unknown head."""
    return head_of(head).outputs(num_classes)


def softmax_probabilities(logits: np.ndarray) -> np.ndarray:
    """Class probabilities (N, C) of the logits (N, C) of a softmax head."""
    return softmax(logits, axis=1)


def ordinal_probabilities(logits: np.ndarray) -> np.ndarray:
    """Class probabilities (N, C) of the logits (N, C-1) of an ordinal head.

    Logit k > 0 means a class above k. The cumulative probabilities are made monotone by
    `nonincreasing`, then differenced.
    """
    above = nonincreasing(expit(logits))
    edges = np.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    return -np.diff(edges, axis=1).clip(max=0.0)  # rounding can make equal neighbours differ


def nonincreasing(values: np.ndarray) -> np.ndarray:
    """The nearest rows (N, K), in least squares, that never increase: isotonic regression.

    Cumulative probabilities that contradict each other are averaged with their neighbours. That
    keeps their sum, which is the expected class, and never moves them away from any monotone
    truth; a running minimum would pull every contradiction towards the healthy classes, a
    running maximum towards the diseased ones. Min-max formula of Barlow, Bartholomew, Bremner &
    Brunk (1972): result_k = min over i <= k of max over j >= k of mean(values_i .. values_j).
    """
    count = values.shape[1]
    sums = np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))
    result = np.full(values.shape, np.inf)
    for start in range(count):
        lengths = np.arange(1, count - start + 1)
        means = (sums[:, start + 1 :] - sums[:, [start]]) / lengths
        largest_means = np.maximum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        result[:, start:] = np.minimum(result[:, start:], largest_means)
    return result


HEADS = {
    "ovo": Head(
        lambda classes: classes * (classes - 1) // 2,
        lambda logits, classes, _: coupled_probabilities(logits, classes),
        decoders=("coupling", "weighted", "vote", EXPECTED),
        paired=True,
    ),
    "softmax": Head(lambda classes: classes, lambda logits, *_: softmax_probabilities(logits)),
    "ordinal": Head(lambda classes: classes - 1, lambda logits, *_: ordinal_probabilities(logits)),
    "regression": Head(
        lambda _: 1,
        lambda logits, classes, scale: (scale or unfitted_scale(classes)).probabilities(
            logits[:, 0]
        ),
        decoders=(EXPECTED,),
        is_number=True,
    ),
}
