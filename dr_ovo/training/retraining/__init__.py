"""`--pairs`: retraining individual classifiers of a finished independent network."""
