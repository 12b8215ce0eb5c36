"""Heads: the number of logits of each; class probabilities of the softmax and ordinal heads."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, softmax

from dr_ovo.errors import UserError


def logit_width(head: str, num_classes: int) -> int:
    """The number of logits per sample: P for `ovo`, C for `softmax`, C-1 for `ordinal`.

    Raises UserError for an unknown head.
    """
    widths = {
        "ovo": num_classes * (num_classes - 1) // 2,
        "softmax": num_classes,
        "ordinal": num_classes - 1,
    }
    if head not in widths:
        raise UserError(f"Unknown head '{head}'. Use one of: {', '.join(widths)}.")
    return widths[head]


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
