"""`analyze_per_class_strengths.py`: where each model is strong."""
