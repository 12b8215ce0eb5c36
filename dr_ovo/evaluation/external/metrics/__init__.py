"""The metrics of a model in the classes of another data set."""
