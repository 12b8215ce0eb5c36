"""Which places of a photograph carry a grade, and how far."""
