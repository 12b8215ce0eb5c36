"""Every setting of the trainer: name, default, help text and limits; new options are added here.

The command line is generated from these fields (`dr_ovo/settings/command_line.py`); nothing else
defines an option.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from dr_ovo.choices import (
    CACHE_MODES,
    DECODERS,
    HEADS,
    MAX_MEGAPIXELS,
    MODES,
    NO_STEPS,
    OVO_MODES,
    PREPROCESSING_STEPS,
    VIEWS,
)
from dr_ovo.pairs import Pair, class_pairs, parse_pair
from dr_ovo.settings import checks
from dr_ovo.settings.option import boolean, check_limits, option

MAX_SEED = 2**63 - 1  # torch's limit


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of `ensemble_5class_trainer.py`. Raises UserError for values out of range."""

    # What to do, on what
    mode: str = option("train", str, "what to do", choices=MODES, matters=False)
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
        "", str, "name of the run: for its default folder, its log and its reports", matters=False
    )
    log_file: str = option(
        "", str, "text log to append to; empty: <output_dir>/train.log in training", matters=False
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
        choices=DECODERS,
        matters=False,
    )
    patient_level: bool = option(
        False, boolean, "evaluate: add figures per patient, by the worse eye", matters=False
    )
    skip_damaged: bool = option(False, boolean, "continue without damaged images, and record them")
    max_megapixels: float = option(
        MAX_MEGAPIXELS,
        float,
        "a larger image counts as damaged: it could fill the memory",
        above=0,
        matters=False,
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
        "preprocessing steps, in this order: disc_crop ben_graham clahe; none: only resizing; "
        "default: disc_crop, and clahe as --enable_clahe says",
        choices=(*PREPROCESSING_STEPS, NO_STEPS),
    )
    enable_clahe: bool = option(True, boolean, "contrast-limited adaptive histogram equalisation")
    clahe_clip_limit: float = option(3.0, float, "CLAHE clip limit", above=0)
    clahe_tile_grid_size: int = option(8, int, "CLAHE tiles per side", low=1, high=64)

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
        "one branch for all pairs, or one per pair, which took several times as long to train and "
        "was no better where measured",
        choices=OVO_MODES,
    )
    head: str = option(
        "ovo",
        str,
        "what the network predicts; softmax was as good as ovo where measured",
        choices=HEADS,
    )
    freeze_weights: bool = option(True, boolean, "freeze the stem; false: train everything")
    freeze_stages: int = option(
        2, int, "stages in the frozen stem (reductions 4, 8, 16, 32)", low=0, high=4
    )
    ovo_dropout: float = option(0.28, float, "dropout before the head", low=0, high=0.95)
    pretrained: bool = option(True, boolean, "start from ImageNet weights")
    pretrained_path: str = option("", str, "weights file or results folder to start from")

    # Training
    epochs: int = option(100, int, "passes over train", low=1)
    batch_size: int = option(2, int, "images per micro-batch", low=1)
    gradient_accumulation_steps: int = option(4, int, "micro-batches per optimizer step", low=1)
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
    patience: int = option(28, int, "epochs without improvement on val until a branch stops", low=1)
    min_delta: float = option(0.0, float, "gain in score that an improvement must exceed", low=0)
    keep_epoch: str = option(
        "best",
        str,
        "which epoch of a branch is kept: its best on val, or its last, which selects nothing on "
        "val; for a small val, with --ema_decay averaging the weights",
        choices=("best", "last"),
    )
    ema_decay: float = option(
        0.0,
        float,
        "decay per optimizer step of a moving average of the weights, which is then what is "
        "validated and saved, such as 0.99; 0: off",
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
        "images per epoch: each once, or grades equally often (class weights off)",
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
        "mixed precision: fp16 below compute capability 8, else bf16",
        choices=("auto", "on", "off"),
    )
    grad_checkpointing: str = option(
        "auto",
        str,
        "recompute activations to save memory",
        choices=("auto", "on", "off"),
        matters=False,
    )
    compile: bool = option(
        False,
        boolean,
        "torch.compile: faster steps after some minutes of compiling; where it can't be, training "
        "goes on without",
        matters=False,
    )
    num_workers: int = option(
        4, int, "processes that decode images; 0: this one does", low=0, matters=False
    )
    cache: str = option(
        "auto",
        str,
        "keep decoded images on the disk: auto (where there is room for them twice), on, off",
        choices=CACHE_MODES,
        matters=False,
    )
    cache_dir: str = option(
        "",
        str,
        "folder of decoded images; empty: beside the dataset, else in --output_root",
        matters=False,
    )
    device: str = option("auto", str, "auto, cpu, cuda or cuda:N", matters=False)
    seed: int = option(42, int, "seed of everything random", low=0, high=MAX_SEED)

    # Runs
    train_sample: int = option(
        256, int, "train images evaluated each epoch without augmentation; 0: none", low=0
    )
    resume: bool = option(False, boolean, "continue from the last finished epoch", matters=False)
    pairs: tuple[str, ...] = option((), str, "independent mode: train only these, such as 0-2 1-3")
    dry_run: bool = option(
        False,
        boolean,
        "all checks, two training steps and one of validation, memory and time; writes nothing",
        matters=False,
    )
    debug_mode: bool = option(
        False, boolean, "a quick check: 8 images per grade and split, at most 2 epochs"
    )
    tensorboard: bool = option(
        False, boolean, "write TensorBoard curves to <output_dir>/tensorboard", matters=False
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_limits(field, getattr(self, field.name))
        checks.check_ensemble(self.ensemble, self.mode)
        checks.check_class_names(self.class_names, self.num_classes)
        checks.check_size(self.img_size)
        checks.check_views(self.tta_views)
        checks.check_preprocessing(self.preprocessing)
        checks.check_balance(
            self.focal_loss_alpha,
            self.class_weights,
            self.num_classes,
            enable_class_weights=self.enable_class_weights,
            sampler=self.sampler,
            head=self.head,
        )
        checks.check_pretrained(self.pretrained_path, pretrained=self.pretrained)
        checks.check_network(self.head, self.ovo_mode, self.pairs, self.num_classes)
        checks.check_learning_rates(self.min_lr, self.learning_rate)

    @property
    def grades(self) -> tuple[str, ...]:
        """The class names, mildest first."""
        return self.class_names or tuple(str(grade) for grade in range(self.num_classes))

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the preprocessing steps, whichever flag set them."""
        default = ("disc_crop", "clahe") if self.enable_clahe else ("disc_crop",)
        return tuple(name for name in self.preprocessing or default if name != NO_STEPS)

    @property
    def trained_pairs(self) -> list[Pair]:
        """The pairs that this run trains."""
        if self.pairs:
            return sorted({parse_pair(text, self.num_classes) for text in self.pairs})
        return class_pairs(self.num_classes)

    @property
    def frozen_stages(self) -> int:
        """How many stages are frozen, whichever flag set it."""
        return self.freeze_stages if self.freeze_weights else 0
