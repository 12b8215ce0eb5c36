"""`--folds`: what the members of a cross-validation say of the pictures that they have not seen."""
