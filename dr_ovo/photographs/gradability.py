"""From which quality on a photograph counts as gradable; reports and measurement share it."""

from __future__ import annotations

import numpy as np

MIN_GRADABLE = 0.25  # of a quality from 0 to 1; dr_ovo/photographs/quality.py says where it lies


def ungradable(quality: np.ndarray) -> np.ndarray:
    """(N,) bool: whether a quality (N,) is known, and too low to grade by."""
    return np.nan_to_num(quality, nan=1.0) < MIN_GRADABLE
