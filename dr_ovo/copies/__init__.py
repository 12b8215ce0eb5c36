"""Finds copies and near-duplicates: descriptors, cache, search, registration, clusters."""
