"""A results folder: its files, found, read, and brought to the same samples."""
