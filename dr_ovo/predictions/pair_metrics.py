"""Validation metrics of each pair after an epoch: accuracy, AUC, sensitivity, specificity."""

from __future__ import annotations

from typing import Any

import numpy as np

from dr_ovo.pairs import Pair
from dr_ovo.predictions.auc import binary_auc
from dr_ovo.predictions.metrics import accuracy, sensitivity_specificity


def pair_metrics(
    targets: np.ndarray, logits: np.ndarray, pairs: list[Pair]
) -> list[dict[str, Any]]:
    """One dict per pair: `pair`, `n`, `accuracy`, `auc`, `sensitivity`, `specificity`.

    `targets` (N,) are classes, `logits` (N, P) have one column per pair. Each pair (a, b) is
    measured on the samples of its two classes; b, the higher one, is positive. Fractions, or None
    where a class has no sample.
    """
    return [_one_pair(targets, column, pair) for column, pair in zip(logits.T, pairs, strict=True)]


def _one_pair(targets: np.ndarray, logits: np.ndarray, pair: Pair) -> dict[str, Any]:
    own = np.isin(targets, pair)
    positive, scores = targets[own] == pair[1], logits[own]
    sensitivity, specificity = sensitivity_specificity(positive, scores > 0)
    values = {
        "accuracy": accuracy(positive, scores > 0),
        "auc": binary_auc(positive, scores),
        "sensitivity": sensitivity,
        "specificity": specificity,
    }
    known = {name: None if np.isnan(value) else value for name, value in values.items()}
    return {"pair": list(pair), "n": int(own.sum()), **known}
