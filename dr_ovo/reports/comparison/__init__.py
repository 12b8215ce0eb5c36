"""`compare_models.py`: which model to trust."""
