"""`evaluate_super_ensemble.py`: whether an ensemble helps."""
