"""Tempering: probabilities made sharper or softer by one number."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

SMALLEST_PROBABILITY = 1e-12  # below it a logarithm reflects rounding, not evidence


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Natural logarithms (N, C) of probabilities, clipped at 1e-12."""
    return np.log(probabilities.clip(min=SMALLEST_PROBABILITY))


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (N, C) to the power 1 / temperature, renormalised."""
    return np.exp(log_softmax(log_probabilities(probabilities) / temperature, axis=1))
