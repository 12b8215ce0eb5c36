"""Metrics of a model with 95 % confidence intervals, paired differences and p values."""
