"""A dataset folder: index, manifest, and the words and names that folders and labels use."""
