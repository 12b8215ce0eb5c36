"""A model's predictions on a split: the .npz file, metrics, calibration, operating points."""
