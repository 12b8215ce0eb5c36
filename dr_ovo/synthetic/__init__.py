"""Synthetic (drawn) photographs and simulated models, for trying out the toolkit."""
