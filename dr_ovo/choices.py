"""The names among which settings choose: heads, decoders, preprocessing steps, flipped views."""

from __future__ import annotations

MODES = ("train", "evaluate", "inference")
HEADS = ("ovo", "softmax", "ordinal")
OVO_MODES = ("shared", "independent")
DECODERS = ("coupling", "weighted", "vote")
# In the order in which they run; dr_ovo/photographs/preprocessing_steps.py has what they do.
PREPROCESSING_STEPS = ("disc_crop", "ben_graham", "clahe")
NO_STEPS = "none"
VIEWS = (1, 2, 4)  # flips left to right, then upside down
