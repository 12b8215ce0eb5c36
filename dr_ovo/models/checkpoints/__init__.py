"""Checkpoints: their files, and the network that they form."""
