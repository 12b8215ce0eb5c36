"""Pretrained weights: where they come from, how their files are read, how they fit a model."""
