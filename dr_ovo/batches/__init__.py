"""Batches of images for the network: loading and augmentation."""
