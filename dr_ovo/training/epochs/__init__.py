"""The training loop, and what it reports of an epoch."""
