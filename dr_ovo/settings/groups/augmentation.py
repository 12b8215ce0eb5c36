"""Options of the augmentation of training images."""

from __future__ import annotations

from dataclasses import dataclass

from dr_ovo.settings.option import Fixed, Options, boolean, option


@dataclass(frozen=True)
class AugmentationOptions(Options):
    """How far training images are changed; each range applies in both directions."""

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
