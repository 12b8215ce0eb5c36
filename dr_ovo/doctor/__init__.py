"""The report on a machine and a dataset before training."""
