"""Networks: architectures, backbones, stem and branches, losses, weights, checkpoints."""
