"""Measures the toolkit: its speed, and how reliable its figures are; `python -m benchmarks`."""
