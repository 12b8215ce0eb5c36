"""The quality threshold below which a photograph is ungradable; audits and reports share it."""

from __future__ import annotations

import numpy as np

MIN_GRADABLE = 0.25  # on a scale from 0 to 1; dr_ovo/photographs/quality.py says how it was set


def ungradable(quality: np.ndarray) -> np.ndarray:
    """(N,) bool: whether a quality (N,) is known and too low for grading."""
    return np.nan_to_num(quality, nan=1.0) < MIN_GRADABLE
