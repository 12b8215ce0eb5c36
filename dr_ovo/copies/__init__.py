"""Copies and look-alikes: descriptors, their cache, the search, registration, clusters."""
