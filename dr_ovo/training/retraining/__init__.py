"""`--pairs`: training single classifiers of a finished network anew."""
