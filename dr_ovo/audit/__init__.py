"""Can the scores on a dataset be trusted? Leaks and warnings, and their report."""
