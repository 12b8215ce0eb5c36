"""Decoder `coupling`: class probabilities from pairwise ones (second method of Wu et al. 2004).

T.-F. Wu, C.-J. Lin, R. C. Weng: Probability Estimates for Multi-class Classification by Pairwise
Coupling, JMLR 5 (2004) 975-1005, section 4 ("the second approach").
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from dr_ovo.pairs import class_pairs

# A certain pair (r = 0 or 1) would leave the order of all other classes undetermined.
PAIR_PROBABILITY_FLOOR = 1e-9


def coupled_probabilities(logits: np.ndarray, num_classes: int) -> np.ndarray:
    """Class probabilities (N, C), float64, in [0, 1], each row summing to 1.

    `logits` is (N, P), pairs (a, b) in the toolkit's order, positive where b is preferred. With
    r_ij = P(i | i or j), the probabilities minimise sum_ij (r_ji p_i - r_ij p_j)^2 under
    sum_i p_i = 1. They solve one linear system: Q bordered by ones. Q alone is singular whenever
    the pairs agree with some p exactly, and always for C = 2.
    """
    wins = _pairwise_probabilities(np.asarray(logits, dtype=np.float64), num_classes)
    system = np.zeros((len(wins), num_classes + 1, num_classes + 1))
    system[:, :-1, :-1] = -wins * wins.transpose(0, 2, 1)  # Q_ij = -r_ji r_ij
    diagonal = np.arange(num_classes)
    system[:, diagonal, diagonal] = (wins**2).sum(axis=1)  # Q_ii = sum_j r_ji^2
    system[:, -1, :-1] = system[:, :-1, -1] = 1.0
    right_side = np.zeros((num_classes + 1, 1))
    right_side[-1] = 1.0
    solution = np.linalg.solve(system, right_side)[:, :-1, 0]
    probabilities = solution.clip(min=0.0)  # only rounding makes it negative
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _pairwise_probabilities(logits: np.ndarray, num_classes: int) -> np.ndarray:
    """(N, C, C) with r_ij = P(i | i or j) at [i, j] and 0 on the diagonal."""
    wins = np.zeros((len(logits), num_classes, num_classes))
    lower, higher = np.array(class_pairs(num_classes)).T
    floor, ceiling = PAIR_PROBABILITY_FLOOR, 1 - PAIR_PROBABILITY_FLOOR
    wins[:, higher, lower] = expit(logits).clip(floor, ceiling)
    wins[:, lower, higher] = expit(-logits).clip(floor, ceiling)
    return wins
