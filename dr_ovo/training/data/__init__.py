"""The photographs of a training: which they are, what the audit says of them, how they are read."""
