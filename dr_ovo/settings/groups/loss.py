"""Options of the loss: focal loss, class weights, label smoothing."""

from __future__ import annotations

from dataclasses import dataclass

from dr_ovo.choices import REGRESSION_LOSSES
from dr_ovo.settings.option import Fixed, Options, boolean, option


@dataclass(frozen=True)
class LossOptions(Options):
    """What a training minimises."""

    enable_focal_loss: bool = option(
        True, boolean, "focal loss; false: cross-entropy", fixed=Fixed.IN_WEIGHTS, in_recipe=True
    )
    focal_loss_gamma: float = option(
        3.0, float, "focal exponent", fixed=Fixed.IN_WEIGHTS, in_recipe=True, metavar="GAMMA", low=0
    )
    focal_loss_alpha: tuple[float, ...] = option(
        (2.5,),
        float,
        "focal factor: one number, or one per class",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        metavar="ALPHA",
        above=0,
    )
    enable_class_weights: bool = option(
        True, boolean, "loss weights from train counts", fixed=Fixed.IN_WEIGHTS, in_recipe=True
    )
    class_weights: tuple[float, ...] = option(
        (),
        float,
        "loss weights, one per class",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        metavar="WEIGHT",
        above=0,
    )
    label_smoothing: float = option(
        0.1,
        float,
        "label smoothing",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        metavar="SHARE",
        low=0,
        high=0.5,
    )
    regression_loss: str = option(
        "smooth_l1",
        str,
        "of --head regression: the distance of its number from the grade",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        choices=REGRESSION_LOSSES,
    )
