"""A run over many photographs: what is to be graded, what is done, and in which order."""
