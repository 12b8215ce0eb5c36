"""Options of the schedule: epochs, optimizer steps, learning rate, the epoch kept, the seed."""

from __future__ import annotations

from dataclasses import dataclass

from dr_ovo.settings import checks
from dr_ovo.settings.option import Fixed, Options, option

MAX_SEED = 2**63 - 1  # torch's limit
STEM_BATCH_LIMIT = 32


@dataclass(frozen=True)
class ScheduleOptions(Options):
    """How long a network is trained, and in what steps."""

    epochs: int = option(
        100, int, "passes over train", fixed=Fixed.IN_WEIGHTS, metavar="EPOCHS", low=1
    )
    batch_size: int = option(
        2,
        int,
        "images per micro-batch, see --micro_batch",
        fixed=Fixed.IN_WEIGHTS,
        metavar="IMAGES",
        low=1,
    )
    gradient_accumulation_steps: int = option(
        4,
        int,
        "batches of batch_size images per optimizer step",
        fixed=Fixed.IN_WEIGHTS,
        metavar="COUNT",
        low=1,
    )
    learning_rate: float = option(
        5e-5, float, "peak learning rate of AdamW", fixed=Fixed.IN_WEIGHTS, metavar="RATE", above=0
    )
    min_lr: float = option(
        1e-7,
        float,
        "learning rate at the end of the schedule",
        fixed=Fixed.IN_WEIGHTS,
        metavar="RATE",
        low=0,
    )
    scheduler: str = option(
        "cosine",
        str,
        "learning-rate schedule",
        fixed=Fixed.IN_WEIGHTS,
        choices=("cosine", "linear", "plateau", "none"),
    )
    warmup_epochs: int = option(
        10,
        int,
        "epochs of linear warm-up",
        fixed=Fixed.IN_WEIGHTS,
        metavar="EPOCHS",
        low=0,
    )
    weight_decay: float = option(
        2.5e-4, float, "weight decay of AdamW", fixed=Fixed.IN_WEIGHTS, metavar="DECAY", low=0
    )
    layer_decay: float = option(
        1.0,
        float,
        "rate of each layer below the head, as a multiple of that of the layer above it, such as "
        "0.8; a layer is a block or a stage, as timm names them for the architecture, and frozen "
        "ones change nothing for those above; 1: one rate for all",
        fixed=Fixed.IN_WEIGHTS,
        metavar="FACTOR",
        above=0,
        high=1,
    )
    max_grad_norm: float = option(
        1.0,
        float,
        "gradient clipping by norm; 0: off",
        fixed=Fixed.IN_WEIGHTS,
        metavar="NORM",
        low=0,
    )
    ema_decay: float = option(
        0.0,
        float,
        "decay per optimizer step of a moving average of the weights, which is then what is "
        "validated and saved, such as 0.99; 0: off",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        metavar="DECAY",
        low=0,
        high=0.99999,
    )
    sampler: str = option(
        "natural",
        str,
        "images per epoch: each once, or grades equally often (class weights off)",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        choices=("natural", "balanced"),
    )
    patience: int = option(
        28,
        int,
        "epochs without improvement on val until a branch stops",
        fixed=Fixed.IN_WEIGHTS,
        metavar="EPOCHS",
        low=1,
    )
    min_delta: float = option(
        0.0,
        float,
        "gain in score that an improvement must exceed",
        fixed=Fixed.IN_WEIGHTS,
        metavar="GAIN",
        low=0,
    )
    keep_epoch: str = option(
        "last",
        str,
        "which epoch of a branch is kept: its last, which selects nothing on val (but --patience "
        "may end a training by val, except with --folds); its best on val; log_loss: that with "
        "the lowest log loss on val, at its best temperature; steady: likewise, among those "
        "within one standard error of the best so far",
        fixed=Fixed.IN_WEIGHTS,
        in_recipe=True,
        choices=("best", "last", "steady", "log_loss"),
    )
    train_sample: int = option(
        256,
        int,
        "train images evaluated each epoch without augmentation; 0: none",
        fixed=Fixed.IN_A_RUN,
        metavar="IMAGES",
        low=0,
    )
    seed: int = option(
        42,
        int,
        "seed of everything random",
        fixed=Fixed.IN_WEIGHTS,
        metavar="NUMBER",
        low=0,
        high=MAX_SEED,
    )

    def check(self) -> None:
        """Raises UserError for a schedule that would rise towards its end."""
        checks.check_learning_rates(self.min_lr, self.learning_rate)

    @property
    def window(self) -> int:
        """Images per optimizer step."""
        return self.batch_size * self.gradient_accumulation_steps

    @property
    def stem_batch(self) -> int:
        """Images that pass the stem together, whichever branches are active: another size changes
        bits."""
        return max(self.batch_size, min(self.window, STEM_BATCH_LIMIT))
