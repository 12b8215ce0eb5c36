"""The optimizer of one branch: steps, learning rates, averaged weights; the image order."""
