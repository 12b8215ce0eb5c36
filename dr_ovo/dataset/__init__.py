"""What a dataset is: photographs, index, manifest, and the words and names in it."""
