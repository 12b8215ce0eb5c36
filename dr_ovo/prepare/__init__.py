"""`prepare_dataset.py`: photographs and grades to a dataset folder with a manifest."""
