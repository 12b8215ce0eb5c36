"""Confidence intervals, paired differences, and the statistics they are taken of."""
