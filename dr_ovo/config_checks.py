"""Which settings exclude each other, and values that no single limit can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dr_ovo.errors import UserError

if TYPE_CHECKING:
    from dr_ovo.config import TrainConfig

SMALLEST_SIZE = 16  # pixels; below this no picture shows a fundus
# In the order in which they run; dr_ovo/data/steps.py has what they do.
PREPROCESSING_STEPS = ("disc_crop", "ben_graham", "clahe")
NO_STEPS = "none"
VIEWS = (1, 2, 4)  # flips left to right, then upside down


def _check_class_names(config: TrainConfig) -> None:
    names = config.class_names
    if names and len(names) != config.num_classes:
        raise UserError(
            f"--class_names has {len(names)} names ({' '.join(names)}) and --num_classes is "
            f"{config.num_classes}: expected one name a class."
        )
    if len(set(names)) != len(names):
        raise UserError(f"--class_names {' '.join(names)}: a name stands twice.")
    for name in names:
        if name.startswith(".") or set(name) & set("/\\"):
            raise UserError(f"--class_names {name}: expected the name of a folder in train/.")


def _check_size(config: TrainConfig) -> None:
    if 0 < config.img_size < SMALLEST_SIZE:
        raise UserError(
            f"--img_size {config.img_size}: expected at least {SMALLEST_SIZE}, or 0 for the "
            "architecture's own."
        )


def _check_views(config: TrainConfig) -> None:
    if config.tta_views not in VIEWS:
        raise UserError(f"--tta_views {config.tta_views}: expected 1, 2 or 4.")


def _check_preprocessing(config: TrainConfig) -> None:
    given = config.preprocessing
    if given not in ((NO_STEPS,), tuple(name for name in PREPROCESSING_STEPS if name in given)):
        raise UserError(
            f"--preprocessing {' '.join(given)}: expected some of "
            f"{', '.join(PREPROCESSING_STEPS)}, each once and in this order, which is that of "
            f"their running; or {NO_STEPS} alone."
        )


def _check_per_class(config: TrainConfig) -> None:
    alpha, weights, classes = config.focal_loss_alpha, config.class_weights, config.num_classes
    if len(alpha) not in (1, classes):
        raise UserError(
            f"--focal_loss_alpha has {len(alpha)} numbers: expected 1, or {classes} (one a class)."
        )
    if weights and len(weights) != classes:
        raise UserError(f"--class_weights has {len(weights)} numbers: expected {classes}.")
    if weights and not config.enable_class_weights:
        raise UserError("--no-enable_class_weights and --class_weights exclude each other.")
    if weights and config.sampler == "balanced":
        raise UserError(
            "--class_weights with --sampler balanced would balance twice: give one of them."
        )


def _check_network(config: TrainConfig) -> None:
    if config.head == "ordinal" and config.class_weights:
        raise UserError("--class_weights does not apply to --head ordinal: leave one of them out.")
    if config.pretrained_path and not config.pretrained:
        raise UserError("--no-pretrained and --pretrained_path exclude each other.")
    if config.head != "ovo" and config.ovo_mode == "independent":
        raise UserError(
            f"--head {config.head} has no pairs to train independently: "
            "use --ovo_mode shared, or --head ovo."
        )
    if config.pairs and config.ovo_mode != "independent":
        raise UserError(
            "--pairs trains single classifiers, which a shared network does not have: "
            "add --ovo_mode independent, or leave --pairs out."
        )
    if config.pairs:
        _ = config.trained_pairs  # raises where one is not a pair of these classes
    if config.min_lr > config.learning_rate:
        raise UserError(
            f"--min_lr {config.min_lr} is above --learning_rate {config.learning_rate}."
        )


def _check_ensemble(config: TrainConfig) -> None:
    if config.ensemble and config.mode != "inference":
        raise UserError(f"--ensemble is for --mode inference, not --mode {config.mode}.")


CHECKS = (
    _check_ensemble,
    _check_class_names,
    _check_size,
    _check_views,
    _check_preprocessing,
    _check_per_class,
    _check_network,
)
