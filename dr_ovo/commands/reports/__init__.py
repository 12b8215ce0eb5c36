"""The commands that report on results folders and checkpoints."""
