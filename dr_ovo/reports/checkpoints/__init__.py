"""`model_analyzer.py`: what checkpoints hold."""
