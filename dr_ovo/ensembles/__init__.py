"""Several models as one: combination, weights, cross-fitting, diversity, manifest."""
