"""The model card: what a results folder says of its model, for people who were not there."""
