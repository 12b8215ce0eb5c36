"""The training loop, and what it reports per epoch."""
