"""Going on with a stopped training: its state, and whether its settings are the same."""
