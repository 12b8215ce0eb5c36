"""Training again: single classifiers of a finished network (`--pairs`), or a whole run."""
