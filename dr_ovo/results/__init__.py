"""A results folder: its files, how it is found and read, and models on the same samples."""
