"""The standard error of quadratic weighted kappa."""

from __future__ import annotations

import numpy as np


def kappa_standard_error(confusion: np.ndarray) -> float:
    """The asymptotic standard error of quadratic weighted kappa of a confusion matrix (C, C).

    Fleiss, Cohen & Everitt, Psychological Bulletin 72 (1969) 323-327, the one that does not assume
    kappa 0. NaN where kappa is. It takes images for independent: with two eyes of a patient it is
    too small.
    """
    count, classes = confusion.sum(), np.arange(len(confusion))
    weights = 1 - (classes[:, None] - classes[None, :]) ** 2 / (len(classes) - 1) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = confusion / count
        rows, columns = shares.sum(axis=1), shares.sum(axis=0)
        observed, expected = (shares * weights).sum(), rows @ weights @ columns
        by_chance = (weights @ columns)[:, None] + (rows @ weights)[None, :]
        spread = (shares * (weights * (1 - expected) - by_chance * (1 - observed)) ** 2).sum()
        spread -= (observed * expected - 2 * expected + observed) ** 2
        # Rounding may leave a little less than nothing.
        return float(np.sqrt(max(spread, 0.0) / count) / (1 - expected) ** 2)
