"""`model_analyzer.py`: what checkpoints contain."""
