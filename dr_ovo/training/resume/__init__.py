"""Resuming a stopped training: its saved state, and whether folder and settings allow it."""
