"""Training one network, or trying it."""
