"""The arms of the ablation: sets, sizes, flags, and in which stage each is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

PLAIN = (
    *("--enable_focal_loss", "false"),
    *("--enable_class_weights", "false"),
    *("--label_smoothing", "0"),
)
WEIGHTS = (*PLAIN[:2], *PLAIN[4:])  # from the counts, with cross-entropy
GAMMA_1 = ("--focal_loss_gamma", "1", "--focal_loss_alpha", "1", *PLAIN[2:])
GUIDE: tuple[str, ...] = ()  # the trainer's defaults, which are the wrappers' settings


@dataclass(frozen=True)
class Size:
    """How a set is trained in a stage: the network, the side of its input, the epochs, and the peak
    learning rate, one at which every arm learns."""

    network: str
    pixels: int
    epochs: int
    rate: float


SMALL = {
    "idrid": Size("tf_efficientnet_lite0", 112, 12, 5e-4),
    # At 5e-4 the guide's loss stopped learning in four of five folds.
    "retinamnist28": Size("tf_efficientnet_lite0", 64, 10, 2e-4),
}
LARGE = {
    # At 5e-4 one of four members of another training stopped learning.
    "idrid": Size("tf_efficientnet_lite2", 224, 12, 2e-4),
    "retinamnist28": Size("tf_efficientnet_lite2", 112, 10, 2e-4),
}
FOLDS = 5
# Of every arm. The held-out fold chooses nothing: the last epoch is kept.
COMMON = (
    *("--warmup_epochs", "1"),
    *("--batch_size", "8", "--gradient_accumulation_steps", "2"),
    *("--train_sample", "0"),
    *("--folds", str(FOLDS), "--keep_epoch", "last"),
)
ARMS: dict[str, tuple[str, ...]] = {
    "one-vs-one, guide": GUIDE,
    "one-vs-one, plain": PLAIN,
    "regression, plain": ("--head", "regression", *PLAIN),
    "softmax, plain": ("--head", "softmax", *PLAIN),
    "ordinal, plain": ("--head", "ordinal", *PLAIN),
    "one-vs-one, class weights": WEIGHTS,
    "one-vs-one, focal gamma 1": GAMMA_1,
    "one-vs-one, plain, layer decay": (*PLAIN, "--layer_decay", "0.75"),
    "one-vs-one, plain, colour and blur": (
        *PLAIN,
        *("--saturation_range", "0.2", "--hue_range", "5", "--blur_range", "0.005"),
    ),
    "one-vs-one independent, plain": ("--ovo_mode", "independent", *PLAIN),
}
# Options of training that none of the arms above has.
FURTHER = {
    "one-vs-one, plain, drop path": (*PLAIN, "--drop_path", "0.1"),
    "one-vs-one, plain, smoothing": (*PLAIN[:4], "--label_smoothing", "0.1"),
}
WARM = "one-vs-one, plain, from RetinaMNIST"  # on IDRiD
BASELINE = "one-vs-one, guide"
RECOMMENDED = "recommended"
LAST_ARMS = {BASELINE: ("--recipe", "guide"), RECOMMENDED: ("--recipe", "recommended")}
SEEDS = (1, 2, 3)
# The baseline and the three arms with the best kappa of the first stage, as a mean of both sets.
REPEATED = (
    BASELINE,
    "regression, plain",
    "one-vs-one, plain, colour and blur",
    "one-vs-one, class weights",
)


@dataclass(frozen=True)
class Run:
    """One arm on one set with one seed; `on_test`: in the end its members' mean reads test.
    `begins_with`: the run whose first member's weights its members begin with."""

    dataset: str
    arm: str
    seed: int
    size: Size
    flags: tuple[str, ...]
    on_test: bool = False
    begins_with: Run | None = None

    @property
    def name(self) -> str:
        """As in file names, such as `one-vs-one_plain_lite0_112_seed1`."""
        words = self.arm.replace(",", "").replace(" ", "_")
        network = self.size.network.rpartition("_")[2]
        return f"{words}_{network}_{self.size.pixels}_seed{self.seed}"

    @property
    def arguments(self) -> list[str]:
        """The trainer's, without folders."""
        size = self.size
        return [
            *("--base_models", size.network, "--img_size", str(size.pixels)),
            *("--epochs", str(size.epochs), "--learning_rate", str(size.rate)),
            *("--seed", str(self.seed)),
            *COMMON,
            *self.flags,
        ]


def first_stage() -> list[Run]:
    """Every arm on both sets, with one seed."""
    return _runs(ARMS, SMALL, SEEDS[:1])


def second_stage() -> list[Run]:
    """The baseline and the best arms, with two more seeds."""
    return _runs({arm: ARMS[arm] for arm in REPEATED}, SMALL, SEEDS[1:])


def third_stage() -> list[Run]:
    """The recommended recipe and the guide's, larger, with three seeds."""
    return [replace(run, on_test=True) for run in _runs(LAST_ARMS, LARGE, SEEDS)]


def fourth_stage() -> list[Run]:
    """Further options of training, with one seed; beginning with weights of another set."""
    runs = _runs(FURTHER, SMALL, SEEDS[:1])
    plain = "one-vs-one, plain"
    ours, others = (Run(name, plain, SEEDS[0], size, PLAIN) for name, size in SMALL.items())
    return [*runs, replace(ours, arm=WARM, begins_with=others)]


STAGES = {1: first_stage, 2: second_stage, 3: third_stage, 4: fourth_stage}


def _runs(
    arms: Mapping[str, tuple[str, ...]], sizes: Mapping[str, Size], seeds: Sequence[int]
) -> list[Run]:
    return [
        Run(dataset, arm, seed, size, flags)
        for seed in seeds
        for arm, flags in arms.items()
        for dataset, size in sizes.items()
    ]
