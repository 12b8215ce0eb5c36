"""Logits to grades and class probabilities: one-vs-one decoders, softmax, ordinal."""
