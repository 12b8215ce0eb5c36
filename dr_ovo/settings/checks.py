"""Which settings exclude each other, and checks that a field's own limits can't express."""

from __future__ import annotations

from collections.abc import Sequence

from dr_ovo.choices import AUTO, NO_STEPS, PREPROCESSING_STEPS, VIEWS
from dr_ovo.errors import UserError
from dr_ovo.pairs import parse_pair

ALL_STAGES = 4
MIN_SIZE = 16  # pixels; below this no image shows a fundus


def check_class_names(names: Sequence[str], num_classes: int) -> None:
    """Raises UserError unless `names` is empty or has one folder name per class."""
    if names and len(names) != num_classes:
        raise UserError(
            f"--class_names has {len(names)} names ({' '.join(names)}) and --num_classes is "
            f"{num_classes}: expected one name per class."
        )
    if len(set(names)) != len(names):
        raise UserError(f"--class_names {' '.join(names)}: a name is given twice.")
    for name in names:
        if name.startswith(".") or set(name) & set("/\\"):
            raise UserError(f"--class_names {name}: expected the name of a folder in train/.")


def check_size(img_size: int) -> None:
    """Raises UserError for a size at which no image shows a fundus."""
    if 0 < img_size < MIN_SIZE:
        raise UserError(
            f"--img_size {img_size}: expected at least {MIN_SIZE}, or 0 for the architecture's own."
        )


def check_views(tta_views: int) -> None:
    """Raises UserError for a number of test-time views that flips can't produce."""
    if tta_views not in VIEWS:
        raise UserError(f"--tta_views {tta_views}: expected 1, 2 or 4.")


def check_preprocessing(steps: tuple[str, ...]) -> None:
    """Raises UserError for steps given twice, or out of order."""
    if steps not in ((NO_STEPS,), tuple(name for name in PREPROCESSING_STEPS if name in steps)):
        raise UserError(
            f"--preprocessing {' '.join(steps)}: expected some of "
            f"{', '.join(PREPROCESSING_STEPS)}, each once and in this order, in which they "
            f"run; or {NO_STEPS} alone."
        )


def check_balance(
    alpha: Sequence[float],
    weights: Sequence[float],
    num_classes: int,
    *,
    enable_class_weights: bool,
    sampler: str,
    head: str,
) -> None:
    """Raises UserError for alphas or weights of the wrong number, or that balance twice."""
    if len(alpha) not in (1, num_classes):
        raise UserError(
            f"--focal_loss_alpha has {len(alpha)} numbers: expected 1, or {num_classes} (one per "
            "class)."
        )
    if weights and len(weights) != num_classes:
        raise UserError(f"--class_weights has {len(weights)} numbers: expected {num_classes}.")
    if weights and not enable_class_weights:
        raise UserError("--no-enable_class_weights and --class_weights exclude each other.")
    if weights and sampler == "balanced":
        raise UserError(
            "--class_weights with --sampler balanced would balance twice: use only one of them."
        )
    if weights and head == "ordinal":
        raise UserError("--class_weights does not apply to --head ordinal: leave one of them out.")


def check_network(head: str, ovo_mode: str, pairs: Sequence[str], num_classes: int) -> None:
    """Raises UserError for heads or pairs that can't be trained as independent classifiers."""
    if head != "ovo" and ovo_mode == "independent":
        raise UserError(
            f"--head {head} has no pairs to train independently: "
            "use --ovo_mode shared, or --head ovo."
        )
    if pairs and ovo_mode != "independent":
        raise UserError(
            "--pairs trains individual classifiers, which a shared network does not have: "
            "add --ovo_mode independent, or leave --pairs out."
        )
    for pair in pairs:
        parse_pair(pair, num_classes)


def check_folder_name(option: str, folder: str) -> None:
    """Raises UserError for a name of blanks alone."""
    if folder and not folder.strip():
        raise UserError(f"--{option} '{folder}': expected a folder, or nothing for the default.")


def check_feature_views(views: int, frozen_stages: int, *, augmented: bool) -> None:
    """Raises UserError for features of a backbone that is trained, and for views that are alike."""
    if views and frozen_stages != ALL_STAGES:
        raise UserError(
            f"--feature_views {views} keeps the features of a backbone that does not change: add "
            f"--freeze_weights true --freeze_stages {ALL_STAGES}, or leave --feature_views out."
        )
    if views > 1 and not augmented:
        raise UserError(
            f"--feature_views {views} and --no-enable_medical_augmentation: all views of a "
            "photograph would be the same. Use --feature_views 1, or augment."
        )


def check_pretrained(pretrained_path: str, *, pretrained: bool) -> None:
    """Raises UserError for a weights file together with --no-pretrained."""
    if pretrained_path and not pretrained:
        raise UserError("--no-pretrained and --pretrained_path exclude each other.")


def check_pretrained_head(ovo_mode: str, pretrained_path: str, *, pretrained_head: bool) -> None:
    """Raises UserError for a head that is to be taken from no file, or for several branches."""
    if pretrained_head and not pretrained_path:
        raise UserError(
            "--pretrained_head takes the head from --pretrained_path: name a results folder there."
        )
    if pretrained_head and ovo_mode == "independent":
        raise UserError(
            "--pretrained_head is for one head, and --ovo_mode independent has one for each pair: "
            "leave it out."
        )


def check_learning_rates(min_lr: float, learning_rate: float) -> None:
    """Raises UserError for a schedule that would rise towards its end."""
    if min_lr > learning_rate:
        raise UserError(f"--min_lr {min_lr} is above --learning_rate {learning_rate}.")


def check_ensemble(ensemble: str, mode: str, external: str) -> None:
    """Raises UserError for an ensemble manifest where no photographs are graded by it."""
    if ensemble and mode != "inference" and not external:
        raise UserError(
            f"--ensemble is for --mode inference, and for --mode evaluate with --external, not "
            f"--mode {mode}."
        )


def check_external(external: str, grade_map: Sequence[str], mode: str) -> None:
    """Raises UserError for another data set outside --mode evaluate, and for a map without one."""
    if external and mode != "evaluate":
        raise UserError(f"--external is for --mode evaluate, not --mode {mode}.")
    if grade_map and not external:
        raise UserError(
            "--grade_map says which grades are which class of --external: give that, too."
        )


def check_folds(folds: int, fold: int) -> None:
    """Raises UserError for a single fold, and for one that is not among the folds."""
    if folds == 1:
        raise UserError("--folds 1: expected at least 2, or 0 for none.")
    if fold and not folds:
        raise UserError(f"--fold {fold}: expected --folds, the number of all, too.")
    if fold > folds:
        raise UserError(f"--fold {fold}: expected 1 to {folds}, as --folds says, or 0 for all.")


def check_members(
    folds: int, pairs: Sequence[str], *, scheduler: str, keep_epoch: str, decoder: str
) -> None:
    """Raises UserError where what is held out of a member would choose something in it."""
    if not folds:
        return
    if pairs:
        raise UserError("--pairs and --folds exclude each other: a member has all pairs.")
    if keep_epoch == "last":
        for option, value in (("scheduler", "plateau"), ("decoder", "weighted")):
            if value in (scheduler, decoder):
                raise UserError(
                    f"--{option} {value} follows figures on val, and with --folds and --keep_epoch "
                    f"last that is the fold held out. Use another --{option}, or another "
                    "--keep_epoch, which sets own patients of each member apart."
                )


def check_micro_batch(text: str, window: int) -> None:
    """Raises UserError unless micro-batches divide the window of an optimizer step."""
    sizes = [str(size) for size in range(1, window + 1) if window % size == 0]
    if text in (AUTO, *sizes):
        return
    raise UserError(
        f"--micro_batch {text}: expected auto, or a divisor of batch_size x "
        f"gradient_accumulation_steps, which is {window}: {', '.join(sizes)}."
    )
