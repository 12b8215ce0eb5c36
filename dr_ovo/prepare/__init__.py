"""prepare_dataset.py: from photographs and grades to a dataset folder with a manifest."""
