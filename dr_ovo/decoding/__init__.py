"""Logits to grades and class probabilities: one-vs-one decoders, softmax and ordinal heads."""
