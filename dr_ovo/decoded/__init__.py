"""Photographs decoded and preprocessed once, kept as rows of pixels by the sha256 of a file."""
