"""The settings of a run: one frozen dataclass; each option with its help and its limits beside it.

The command line is generated from these fields (`dr_ovo/cli.py`); nothing else defines an option.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.pairs import Pair, class_pairs, parse_pair


def option(
    default: Any,
    parse: Callable[[str], Any],
    help: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    matters: bool = True,
) -> Any:
    """A field with its command-line parser, help text and limits.

    `low`/`high` are inclusive, `above` is exclusive. `matters`: whether a folder that was trained
    with another value refuses to be resumed.
    """
    metadata = {
        "parse": parse,
        "help": help,
        "choices": choices,
        "low": low,
        "high": high,
        "above": above,
        "matters": matters,
    }
    return dataclasses.field(default=default, metadata=metadata)


SMALLEST_SIZE = 16  # pixels; below this no picture shows a fundus
LARGEST_SEED = 2**63 - 1  # what torch takes
TRUE_WORDS = {"true": True, "1": True, "yes": True, "on": True}
# In the order in which they run; dr_ovo/data/steps.py has what they do.
PREPROCESSING_STEPS = ("disc_crop", "ben_graham", "clahe")
NO_STEPS = "none"
VIEWS = (1, 2, 4)  # flips left to right, then upside down
FALSE_WORDS = {"false": False, "0": False, "no": False, "off": False}


def boolean(text: str) -> bool:
    """True or False for the usual words; ValueError otherwise."""
    words = TRUE_WORDS | FALSE_WORDS
    if text.lower() not in words:
        raise ValueError("expected true or false")
    return words[text.lower()]


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of `ensemble_5class_trainer.py`. Raises UserError for values out of range."""

    # What to do, on what
    mode: str = option(
        "train", str, "what to do", choices=("train", "evaluate", "inference"), matters=False
    )
    dataset_path: str = option(
        "./dataset_eyepacs_5class_balanced_enhanced_v2",
        str,
        "folder with train/ val/ test/, each with a folder per grade",
        matters=False,
    )
    base_models: tuple[str, ...] = option(
        (), str, "architectures: aliases (coatnet, convnext, ...) or timm names"
    )
    output_dir: str = option(
        "",
        str,
        "results folder; empty: <output root>/<alias>_<C>class_results "
        "(or <output root>/<experiment name>)",
        matters=False,
    )
    output_root: str = option(".", str, "where default results folders go", matters=False)
    experiment_name: str = option(
        "", str, "a name for the run: its default folder, its log and its reports", matters=False
    )
    log_file: str = option(
        "", str, "text log, appended to; empty: <output_dir>/train.log in training", matters=False
    )
    input: tuple[str, ...] = option(
        (), str, "inference: images or folders of images", matters=False
    )
    output: str = option(
        "", str, "inference: the CSV; empty: <output_dir>/inference.csv", matters=False
    )
    ensemble: str = option(
        "",
        str,
        "inference: the manifest of an ensemble (evaluate_super_ensemble.py --export)",
        matters=False,
    )
    decoder: str = option(
        "coupling",
        str,
        "how pair logits become the stored grade",
        choices=("coupling", "weighted", "vote"),
        matters=False,
    )
    patient_level: bool = option(
        False, boolean, "evaluate: add figures per patient, by the worse eye", matters=False
    )
    skip_damaged: bool = option(
        False, boolean, "decode every image first; go on without damaged ones and record them"
    )

    allow_leaks: bool = option(
        False,
        boolean,
        "train on a dataset whose audit finds leaks; every result is marked LEAKY",
        matters=False,
    )

    # Classes and input
    num_classes: int = option(5, int, "number of grades", low=2)
    class_names: tuple[str, ...] = option(
        (), str, "names of the grade folders, mildest first; default 0 1 2 ..."
    )
    img_size: int = option(
        0, int, "side of the square input in pixels; 0: the architecture's own", low=0
    )
    preprocessing: tuple[str, ...] = option(
        (),
        str,
        "steps of preprocessing, in this order: disc_crop ben_graham clahe; none: only resizing; "
        "default: disc_crop, and clahe as --enable_clahe says",
        choices=(*PREPROCESSING_STEPS, NO_STEPS),
    )
    enable_clahe: bool = option(True, boolean, "contrast-limited adaptive histogram equalisation")
    clahe_clip_limit: float = option(3.0, float, "CLAHE clip limit", above=0)
    clahe_tile_grid_size: int = option(8, int, "CLAHE tiles a side", low=1, high=64)

    tta_views: int = option(
        1,
        int,
        "test-time augmentation: logits are the mean over 1, 2 or 4 flipped views, on val, in "
        "evaluation and in inference",
        low=1,
        high=max(VIEWS),
    )

    # Network
    ovo_mode: str = option(
        "shared",
        str,
        "one branch for all pairs, or one for each",
        choices=("shared", "independent"),
    )
    head: str = option(
        "ovo", str, "what the network answers", choices=("ovo", "softmax", "ordinal")
    )
    freeze_weights: bool = option(True, boolean, "freeze the stem; false: train everything")
    freeze_stages: int = option(
        2, int, "stages in the frozen stem (reductions 4, 8, 16, 32)", low=0, high=4
    )
    ovo_dropout: float = option(0.28, float, "dropout before the head", low=0, high=0.95)
    pretrained: bool = option(True, boolean, "start from ImageNet weights")
    pretrained_path: str = option("", str, "weights file to start from (.pth or .safetensors)")

    # Training
    epochs: int = option(100, int, "passes over train", low=1)
    batch_size: int = option(2, int, "images a micro-batch", low=1)
    gradient_accumulation_steps: int = option(4, int, "micro-batches an optimizer step", low=1)
    learning_rate: float = option(5e-5, float, "peak learning rate of AdamW", above=0)
    min_lr: float = option(1e-7, float, "learning rate at the end of the schedule", low=0)
    weight_decay: float = option(2.5e-4, float, "weight decay of AdamW", low=0)
    max_grad_norm: float = option(1.0, float, "gradient clipping by norm; 0: off", low=0)
    scheduler: str = option(
        "cosine",
        str,
        "learning-rate schedule",
        choices=("cosine", "linear", "plateau", "none"),
    )
    warmup_epochs: int = option(10, int, "epochs of linear warm-up", low=0)
    patience: int = option(28, int, "epochs without progress on val before a branch ends", low=1)
    min_delta: float = option(0.0, float, "progress is a score better by more than this", low=0)
    ema_decay: float = option(
        0.0,
        float,
        "decay, by optimizer steps, of a running average of the weights, which is then what is "
        "measured and kept, such as 0.99; 0: off",
        low=0,
        high=0.99999,
    )

    # Loss and balance
    enable_focal_loss: bool = option(True, boolean, "focal loss; false: cross-entropy")
    focal_loss_gamma: float = option(3.0, float, "focal exponent", low=0)
    focal_loss_alpha: tuple[float, ...] = option(
        (2.5,), float, "focal factor: one number, or one per class", above=0
    )
    enable_class_weights: bool = option(True, boolean, "loss weights from train counts")
    class_weights: tuple[float, ...] = option((), float, "loss weights, one per class", above=0)
    sampler: str = option(
        "natural",
        str,
        "train order: every image once, or grades equally often (class weights off)",
        choices=("natural", "balanced"),
    )
    label_smoothing: float = option(0.1, float, "label smoothing", low=0, high=0.5)

    # Augmentation
    enable_medical_augmentation: bool = option(True, boolean, "augment training images")
    rotation_range: float = option(25.0, float, "rotation, degrees either way", low=0, high=180)
    brightness_range: float = option(0.2, float, "relative brightness, either way", low=0, high=0.9)
    contrast_range: float = option(0.2, float, "relative contrast, either way", low=0, high=0.9)

    # Machine
    amp: str = option(
        "auto",
        str,
        "mixed precision: fp16 below compute capability 8, bf16 from there on",
        choices=("auto", "on", "off"),
    )
    grad_checkpointing: str = option(
        "auto",
        str,
        "recompute activations to save memory",
        choices=("auto", "on", "off"),
        matters=False,
    )
    num_workers: int = option(4, int, "processes that decode images", low=0, matters=False)
    device: str = option("auto", str, "auto, cpu, cuda or cuda:N", matters=False)
    seed: int = option(42, int, "seed of everything random", low=0, high=LARGEST_SEED)

    # Runs
    train_sample: int = option(
        256, int, "train images measured each epoch without augmentation; 0: none", low=0
    )
    resume: bool = option(False, boolean, "go on from the last finished epoch", matters=False)
    pairs: tuple[str, ...] = option((), str, "independent mode: train only these, such as 0-2 1-3")
    dry_run: bool = option(
        False,
        boolean,
        "all checks, two training steps and one of validation, memory and time; writes nothing",
        matters=False,
    )
    debug_mode: bool = option(
        False, boolean, "a quick look: 8 images a grade and split, at most 2 epochs"
    )
    tensorboard: bool = option(
        False, boolean, "write TensorBoard curves to <output_dir>/tensorboard", matters=False
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_limits(field, getattr(self, field.name))
        for check in CHECKS:
            check(self)

    @property
    def grades(self) -> tuple[str, ...]:
        """The class names, mildest first."""
        return self.class_names or tuple(str(grade) for grade in range(self.num_classes))

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the steps of preprocessing, whichever flag said so."""
        usual = ("disc_crop", "clahe") if self.enable_clahe else ("disc_crop",)
        return tuple(name for name in self.preprocessing or usual if name != NO_STEPS)

    @property
    def trained_pairs(self) -> list[Pair]:
        """The pairs that this run trains."""
        if self.pairs:
            return sorted({parse_pair(text, self.num_classes) for text in self.pairs})
        return class_pairs(self.num_classes)

    @property
    def frozen_stages(self) -> int:
        """How many stages are frozen, whichever flag said so."""
        return self.freeze_stages if self.freeze_weights else 0


def _check_limits(field: dataclasses.Field[Any], value: Any) -> None:
    limits = field.metadata
    for number in value if isinstance(value, tuple) else (value,):
        if limits["choices"] and number not in limits["choices"]:
            expected = f"one of: {', '.join(limits['choices'])}"
        elif limits["low"] is not None and not number >= limits["low"]:
            expected = f"at least {limits['low']}"
        elif limits["high"] is not None and not number <= limits["high"]:
            expected = f"at most {limits['high']}"
        elif limits["above"] is not None and not number > limits["above"]:
            expected = f"above {limits['above']}"
        elif isinstance(number, float) and math.isinf(number):
            expected = "a finite number"
        elif number == "" and field.default != "":  # such as an unset variable of the shell
            number, expected = "''", "text that is not empty"
        else:
            continue
        raise UserError(f"--{field.name} {number}: expected {expected}.")


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
