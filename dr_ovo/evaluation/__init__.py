"""`--mode evaluate`, and the members of `--folds`: predictions, calibration and metrics."""
