"""`analyze_ensemble_diversity.py`: how differently models err."""
