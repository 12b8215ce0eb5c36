"""Options of the network: architecture, input, answers, and what of it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from dr_ovo.choices import HEADS, NO_STEPS, OVO_MODES, PREPROCESSING_STEPS, VIEWS
from dr_ovo.pairs import Pair, class_pairs, parse_pair
from dr_ovo.settings import checks
from dr_ovo.settings.option import Fixed, Options, boolean, option


@dataclass(frozen=True)
class NetworkOptions(Options):
    """What a network is."""

    base_models: tuple[str, ...] = option(
        (),
        str,
        "architectures: aliases (coatnet, convnext, ...) or timm names",
        fixed=Fixed.IN_A_NETWORK,
        metavar="NAME",
        checkpoint_key="architecture",
    )
    head: str = option(
        "ovo",
        str,
        "what the network predicts; softmax was as good as ovo where measured",
        fixed=Fixed.IN_A_NETWORK,
        in_recipe=True,
        checkpoint_key="head",
        choices=HEADS,
    )
    ovo_mode: str = option(
        "shared",
        str,
        "one branch for all pairs, or one per pair, which took several times as long to train and "
        "was no better where measured",
        fixed=Fixed.IN_A_NETWORK,
        checkpoint_key="ovo_mode",
        choices=OVO_MODES,
    )
    pairs: tuple[str, ...] = option(
        (),
        str,
        "independent mode: train only these, such as 0-2 1-3",
        fixed=Fixed.IN_A_RUN,
        metavar="PAIR",
    )
    num_classes: int = option(
        5,
        int,
        "number of grades",
        fixed=Fixed.IN_A_NETWORK,
        metavar="COUNT",
        checkpoint_key="class_names",
        low=2,
        high=100,
    )
    class_names: tuple[str, ...] = option(
        (),
        str,
        "names of the grade folders, mildest first; default 0 1 2 ...",
        fixed=Fixed.IN_A_NETWORK,
        metavar="NAME",
        checkpoint_key="class_names",
    )
    img_size: int = option(
        0,
        int,
        "side of the square input in pixels; 0: the architecture's own",
        fixed=Fixed.IN_A_NETWORK,
        metavar="PIXELS",
        checkpoint_key="input",
        low=0,
        high=4096,
    )
    preprocessing: tuple[str, ...] = option(
        (),
        str,
        "preprocessing steps, in this order: disc_crop ben_graham clahe; none: only resizing; "
        "default: disc_crop, and clahe as --enable_clahe says",
        fixed=Fixed.IN_A_NETWORK,
        metavar="STEP",
        checkpoint_key="preprocessing",
        choices=(*PREPROCESSING_STEPS, NO_STEPS),
    )
    enable_clahe: bool = option(
        True,
        boolean,
        "contrast-limited adaptive histogram equalisation",
        fixed=Fixed.IN_A_NETWORK,
        checkpoint_key="preprocessing",
    )
    clahe_clip_limit: float = option(
        3.0,
        float,
        "CLAHE clip limit",
        fixed=Fixed.IN_A_NETWORK,
        metavar="LIMIT",
        checkpoint_key="preprocessing",
        above=0,
    )
    clahe_tile_grid_size: int = option(
        8,
        int,
        "CLAHE tiles per side",
        fixed=Fixed.IN_A_NETWORK,
        metavar="COUNT",
        checkpoint_key="preprocessing",
        low=1,
        high=64,
    )
    tta_views: int = option(
        1,
        int,
        "test-time augmentation: logits are the mean over 1, 2 or 4 flipped views, on val, in "
        "evaluation and in inference",
        fixed=Fixed.IN_A_NETWORK,
        in_recipe=True,
        metavar="1|2|4",
        checkpoint_key="tta_views",
        low=1,
        high=max(VIEWS),
    )
    pretrained: bool = option(
        True, boolean, "start from ImageNet weights", fixed=Fixed.IN_A_NETWORK
    )
    pretrained_path: str = option(
        "",
        str,
        "weights file or results folder to start from",
        fixed=Fixed.IN_WEIGHTS,
        metavar="FILE|DIR",
    )
    pretrained_head: bool = option(
        False,
        boolean,
        "take the head from --pretrained_path, too: of a checkpoint of this toolkit with the same "
        "kind of head and the same classes; not for --ovo_mode independent",
        fixed=Fixed.IN_WEIGHTS,
    )
    freeze_weights: bool = option(
        True,
        boolean,
        "freeze the stem; false: train everything",
        fixed=Fixed.IN_A_NETWORK,
        checkpoint_key="freeze_stages",
    )
    freeze_stages: int = option(
        2,
        int,
        "stages in the frozen stem: reductions 4, 8, 16, 32; of a plain transformer, quarters of "
        "its blocks; 4: the whole backbone",
        fixed=Fixed.IN_A_NETWORK,
        metavar="0..4",
        checkpoint_key="freeze_stages",
        low=0,
        high=4,
    )
    feature_views: int = option(
        0,
        int,
        "with the whole backbone frozen: its features of so many augmented views of each "
        "photograph are computed once and kept, and the epochs take turns with them; 0: every "
        "epoch augments anew",
        fixed=Fixed.IN_WEIGHTS,
        metavar="COUNT",
        low=0,
    )
    ovo_dropout: float = option(
        0.28,
        float,
        "dropout before the head",
        fixed=Fixed.IN_WEIGHTS,
        metavar="SHARE",
        low=0,
        high=0.95,
    )

    drop_path: float = option(
        0.0,
        float,
        "stochastic depth: the share of images for which the last block is left out; fewer for "
        "those before it; 0: as timm builds the architecture",
        fixed=Fixed.IN_WEIGHTS,
        metavar="SHARE",
        low=0,
        high=0.9,
    )

    def check(self) -> None:
        """Raises UserError for names, sizes, steps and heads that don't go together."""
        checks.check_class_names(self.class_names, self.num_classes)
        checks.check_size(self.img_size)
        checks.check_views(self.tta_views)
        checks.check_preprocessing(self.preprocessing)
        checks.check_pretrained(self.pretrained_path, pretrained=self.pretrained)
        checks.check_pretrained_head(
            self.ovo_mode, self.pretrained_path, pretrained_head=self.pretrained_head
        )
        checks.check_network(self.head, self.ovo_mode, self.pairs, self.num_classes)

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
