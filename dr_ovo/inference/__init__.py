"""Applying trained networks: evaluation, grading of new photographs, ensembles."""
