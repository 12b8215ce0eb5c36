"""Readers of what a dataset is prepared from: label CSV, MedMNIST file, folder tree of grades."""
