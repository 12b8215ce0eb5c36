"""Saturation, hue and Gaussian blur of batches, each image by its own number.

They add and multiply element by element, so that an image has the same bits in any batch; matrix
products and convolutions choose their order of summation by the size of the batch. Factors come
from float64 for the same reason: sines and exponentials differ in their last bit.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

RADIUS = 3  # standard deviations at which the Gaussian is cut off


def recoloured(
    images: torch.Tensor, saturation: torch.Tensor, degrees: torch.Tensor
) -> torch.Tensor:
    """(B, 3, H, W) -> the same with colours `saturation` (B,) times as strong, turned by `degrees`
    (B,) about the grey axis of RGB: 120 makes red green. The mean of a pixel's channels stays."""
    angle = torch.deg2rad(degrees.double())
    along, across = saturation * angle.cos(), saturation * angle.sin() / math.sqrt(3)
    grey = (images[:, 0:1] + images[:, 1:2] + images[:, 2:3]) / 3
    turned = (images.roll(1, dims=1) - images.roll(-1, dims=1)) * _per_image(across)
    return grey + (images - grey) * _per_image(along) + turned


def blurred(images: torch.Tensor, shares: torch.Tensor, largest: float) -> torch.Tensor:
    """(B, 3, H, W) -> the same, blurred by a Gaussian whose standard deviation is `shares` (B,) in
    [0, 1] of `largest`, in pixels; images with a share of 0 stay exactly as they are. Edges are
    mirrored."""
    radius = math.ceil(RADIUS * largest)
    deviation = (shares.double() * largest).clamp(min=1e-3)  # at which the neighbours weigh nothing
    steps = torch.arange(radius + 1, dtype=torch.float64, device=images.device)
    weights = torch.exp(-0.5 * (steps / deviation[:, None]) ** 2)
    weights = weights / (weights[:, :1] + 2 * weights[:, 1:].sum(dim=1, keepdim=True))
    for axis, padding in ((3, (radius, radius, 0, 0)), (2, (0, 0, radius, radius))):
        size = images.shape[axis]
        padded = F.pad(images, padding, mode="reflect")
        images = images * _per_image(weights[:, 0])
        for step in range(1, radius + 1):
            before = padded.narrow(axis, radius - step, size)
            after = padded.narrow(axis, radius + step, size)
            images += (before + after) * _per_image(weights[:, step])
    return images


def _per_image(factors: torch.Tensor) -> torch.Tensor:
    """(B,) -> (B, 1, 1, 1) float32."""
    return factors.float().view(-1, 1, 1, 1)
