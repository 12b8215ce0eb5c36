"""Are the photographs of a run whole? Verdicts on contents, once for each; damaged files."""
