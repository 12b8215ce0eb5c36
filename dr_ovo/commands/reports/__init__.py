"""Command lines of the reports on results folders and checkpoints."""
