"""`--mode evaluate --external DIR`: a trained network on photographs of another data set."""
