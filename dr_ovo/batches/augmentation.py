"""Augmentation (rotation, zoom, flips, light, colour, blur), normalisation, test-time flips.

It runs on batches of tensors on the training device. Rotation, zoom and flips are one affine
resampling; then come brightness and contrast, saturation and hue, and blur. The augmentation of a
sample depends only on (seed, epoch, its position in the epoch's order), not on workers or batch
size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from dr_ovo.batches.colour_and_blur import blurred, recoloured
from dr_ovo.device import to_device
from dr_ovo.settings.groups.augmentation import AugmentationOptions

ZOOM_RANGE = 0.1  # relative, either way
NUMBERS = 9  # random numbers per image
FLIPS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))  # the axes of test-time views
# Keep these random numbers apart from those of the image order, and the later ones from the first.
_AUGMENT_STREAM, _COLOUR_STREAM = 1, 2


@dataclass(frozen=True)
class Augmentation:
    """The augmentation that the options ask for."""

    options: AugmentationOptions

    def draw(self, seed: int, epoch: int, count: int) -> torch.Tensor:
        """(count, NUMBERS) float32 in [-1, 1]: random numbers for every position in an epoch's
        order."""
        streams = ((_AUGMENT_STREAM, 6), (_COLOUR_STREAM, 3))
        drawn = [
            np.random.default_rng([seed, epoch, stream]).uniform(-1, 1, (count, columns))
            for stream, columns in streams
        ]
        return torch.from_numpy(np.concatenate(drawn, axis=1).astype(np.float32))

    def apply(self, images: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [0, 1] -> the same, augmented by `numbers` (B, NUMBERS)."""
        options = self.options
        if not options.enable_medical_augmentation:
            return images
        angle, zoom, flip_x, flip_y, brightness, contrast, saturation, hue, blur = numbers.unbind(1)
        theta = _affine(
            torch.deg2rad(angle * options.rotation_range), 1 + zoom * ZOOM_RANGE, flip_x, flip_y
        )
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, mode="bilinear", align_corners=False)
        images *= (1 + brightness * options.brightness_range).view(-1, 1, 1, 1)
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images -= mean
        images *= (1 + contrast * options.contrast_range).view(-1, 1, 1, 1)
        images += mean
        if options.saturation_range or options.hue_range:
            images = recoloured(
                images, 1 + saturation * options.saturation_range, hue * options.hue_range
            )
        images = images.clamp_(0, 1)
        if options.blur_range:
            images = blurred(images, blur.clamp(min=0), options.blur_range * images.shape[-1])
        return images


def _affine(
    angle: torch.Tensor, zoom: torch.Tensor, flip_x: torch.Tensor, flip_y: torch.Tensor
) -> torch.Tensor:
    """(B, 2, 3) sampling matrices: rotation by `angle` (radians), zoom, flips for numbers < 0."""
    one = torch.ones_like(angle)
    sign_x, sign_y = torch.where(flip_x < 0, -one, one), torch.where(flip_y < 0, -one, one)
    cosine, sine, zero = torch.cos(angle) / zoom, torch.sin(angle) / zoom, torch.zeros_like(angle)
    first = torch.stack([cosine * sign_x, -sine * sign_y, zero], dim=1)
    second = torch.stack([sine * sign_x, cosine * sign_y, zero], dim=1)
    return torch.stack([first, second], dim=1)


def to_unit_range(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [0, 1] on `device`."""
    return to_device(images, device).permute(0, 3, 1, 2).contiguous().float().div_(255)


def normalise(
    images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]
) -> torch.Tensor:
    """(B, 3, H, W) in [0, 1] -> network input, by channel means and standard deviations."""
    return (images - _channels(mean, images.device)).div_(_channels(std, images.device))


@lru_cache(maxsize=16)
def _channels(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """(1, 3, 1, 1) on `device`, copied there once: each copy would wait for the device."""
    with torch.inference_mode(False):  # also for later use in training
        return torch.tensor(values, device=device).view(1, 3, 1, 1)


def flipped_views(images: torch.Tensor, count: int) -> Iterator[torch.Tensor]:
    """`count` (1, 2 or 4) test-time views of images (B, 3, H, W): as they are, then flipped left to
    right, upside down, and both; training augments with the same flips."""
    for number in range(count):
        yield flipped(images, number)


def flipped(images: torch.Tensor, number: int) -> torch.Tensor:
    """The test-time view `number` (0 to 3) of images (B, 3, H, W)."""
    axes = FLIPS[number]
    return images.flip(axes) if axes else images
