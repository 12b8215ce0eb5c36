"""The allowed values of settings, and defaults that several commands share."""

from __future__ import annotations

MODES = ("train", "evaluate", "inference")
HEADS = ("ovo", "softmax", "ordinal", "regression")
OVO_MODES = ("shared", "independent")
DECODERS = ("coupling", "weighted", "vote", "expected")
REGRESSION_LOSSES = ("smooth_l1", "mse")
# In the order in which they run; dr_ovo/photographs/preprocessing_steps.py implements them.
PREPROCESSING_STEPS = ("disc_crop", "ben_graham", "clahe")
NO_STEPS = "none"
VIEWS = (1, 2, 4)  # 1: as it is; 2: also flipped left-right; 4: also upside down, and both
MAP_STRIDES = (32, 16)  # pixels of the input that a step on a map is

AUTO = "auto"
CACHE_OFF = "off"
CACHE_MODES = (AUTO, "on", CACHE_OFF)  # whether decoded photographs are kept
MAX_MEGAPIXELS = 100.0  # default of --max_megapixels; fundus cameras have up to 50
