"""Drawn photographs and simulated models, to try the toolkit on."""
