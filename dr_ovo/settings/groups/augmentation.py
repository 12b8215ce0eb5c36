"""Options of the augmentation of training images."""

from __future__ import annotations

from dataclasses import dataclass

from dr_ovo.settings.option import Fixed, Options, boolean, option


@dataclass(frozen=True)
class AugmentationOptions(Options):
    """How far training images are changed; each range but that of the blur applies both ways."""

    enable_medical_augmentation: bool = option(
        True, boolean, "augment training images", fixed=Fixed.IN_WEIGHTS, in_recipe=True
    )
    rotation_range: float = option(
        25.0,
        float,
        "rotation, degrees either way",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        metavar="DEGREES",
        low=0,
        high=180,
    )
    brightness_range: float = option(
        0.2,
        float,
        "relative brightness, either way",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        metavar="SHARE",
        low=0,
        high=0.9,
    )
    contrast_range: float = option(
        0.2,
        float,
        "relative contrast, either way",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        metavar="SHARE",
        low=0,
        high=0.9,
    )
    saturation_range: float = option(
        0.0,
        float,
        "relative saturation, either way; 0: off",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        metavar="SHARE",
        low=0,
        high=0.9,
    )
    hue_range: float = option(
        0.0,
        float,
        "hue, degrees either way of a colour circle of 360; 0: off",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        metavar="DEGREES",
        low=0,
        high=180,
    )
    blur_range: float = option(
        0.0,
        float,
        "Gaussian blur of half the images: the largest standard deviation, as a share of the "
        "image's side, such as 0.005; 0: off",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        metavar="SHARE",
        low=0,
        high=0.05,
    )
