"""Processes that decode photographs: one that crashes costs one photograph, not the run."""
