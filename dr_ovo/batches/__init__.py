"""Batches for the network: loading and augmentation."""
