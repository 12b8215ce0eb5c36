"""Whether a machine and a dataset are ready for training."""
