"""Trained networks put to photographs: evaluation, grading, ensembles."""
