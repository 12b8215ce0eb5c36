"""One branch's optimizer: steps, learning rates, averaged weights."""
