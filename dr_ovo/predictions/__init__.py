"""A model's predictions on a split: the file, metrics, calibration, operating points."""
