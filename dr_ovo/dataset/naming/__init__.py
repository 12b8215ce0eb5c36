"""What the file names of a set say of its patients and eyes."""
