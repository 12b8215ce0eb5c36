"""Options of a run: what to do, on what files, and where the results go."""

from __future__ import annotations

from dataclasses import dataclass

from dr_ovo.choices import DECODERS, MAX_MEGAPIXELS, MODES
from dr_ovo.settings import checks
from dr_ovo.settings.option import Fixed, Options, boolean, option


@dataclass(frozen=True)
class RunOptions(Options):
    """What to do, on what."""

    mode: str = option("train", str, "what to do", choices=MODES)
    dataset_path: str = option(
        "./dataset_eyepacs_5class_balanced_enhanced_v2",
        str,
        "folder with train/ val/ test/, each with a folder per grade",
        metavar="DIR",
    )
    output_dir: str = option(
        "",
        str,
        "results folder; empty: <output root>/<alias>_<C>class_results "
        "(or <output root>/<experiment name>)",
        metavar="DIR",
    )
    output_root: str = option(".", str, "where default results folders go", metavar="DIR")
    experiment_name: str = option(
        "", str, "name of the run: for its default folder, its log and its reports", metavar="NAME"
    )
    log_file: str = option(
        "",
        str,
        "text log to append to; empty: <output_dir>/train.log in training",
        metavar="FILE",
    )
    resume: bool = option(False, boolean, "continue a training where it was stopped")
    recover: bool = option(
        False,
        boolean,
        "with --resume, after numbers went bad: from the last good state, at half the learning "
        "rate; again: at a quarter",
    )
    save_every: float = option(
        10.0, float, "minutes between states kept inside an epoch", metavar="MINUTES", above=0
    )
    grace_seconds: float = option(
        25.0,
        float,
        "after a signal, the time for the last step and its state; then the run ends with the "
        "state before",
        metavar="SECONDS",
        above=0,
    )
    dry_run: bool = option(
        False,
        boolean,
        "all checks, two training steps and one of validation, memory and time; writes nothing",
    )
    debug_mode: bool = option(
        False,
        boolean,
        "a quick check: 8 images per grade and split, at most 2 epochs",
        fixed=Fixed.IN_WEIGHTS,
    )
    folds: int = option(
        0,
        int,
        "train: join train and val, divide them by patient into so many folds, and train a member "
        "on all but each; 0: off",
        fixed=Fixed.IN_WEIGHTS,
        metavar="COUNT",
        low=0,
        high=50,
    )
    fold: int = option(
        0,
        int,
        "with --folds: train only the member that holds out this fold; 0: all",
        fixed=Fixed.IN_WEIGHTS,
        metavar="NUMBER",
        low=0,
    )
    tensorboard: bool = option(
        False, boolean, "write TensorBoard curves to <output_dir>/tensorboard"
    )
    skip_damaged: bool = option(
        False,
        boolean,
        "continue without damaged images, and record them",
        fixed=Fixed.IN_A_RUN,
    )
    max_megapixels: float = option(
        MAX_MEGAPIXELS,
        float,
        "a larger image counts as damaged: it could fill the memory",
        metavar="MEGAPIXELS",
        above=0,
    )
    allow_leaks: bool = option(
        False,
        boolean,
        "train on a dataset whose audit finds leaks; every result is marked LEAKY",
    )
    decoder: str = option(
        "coupling",
        str,
        "how pair logits become the stored grade",
        choices=DECODERS,
        fixed=Fixed.IN_A_RUN,
        in_recipe=True,
    )
    prior_correction: bool = option(
        False,
        boolean,
        "evaluate, inference: take from the logits what class weights or a balanced sampler added "
        "to them in training; of a regression head nothing",
        fixed=Fixed.IN_A_RUN,
        in_recipe=True,
    )
    splits: tuple[str, ...] = option(
        ("val", "test"),
        str,
        "evaluate: the splits that are predicted; test alone uses the calibration that is there",
        choices=("val", "test"),
    )
    patient_level: bool = option(
        False, boolean, "evaluate: add figures per patient, by the worse eye"
    )
    input: tuple[str, ...] = option(
        (), str, "inference: images or folders of images", metavar="FILE|DIR"
    )
    output: str = option(
        "", str, "inference: the CSV; empty: <output_dir>/inference.csv", metavar="FILE"
    )
    ensemble: str = option(
        "",
        str,
        "inference, or evaluate with --external: the manifest of an ensemble "
        "(evaluate_super_ensemble.py --export)",
        metavar="FILE",
    )
    external: str = option(
        "",
        str,
        "evaluate: another data set, of which all photographs are graded; the own test is compared",
        metavar="DIR",
    )
    grade_map: tuple[str, ...] = option(
        (),
        str,
        "with --external: which grades of the model are which class there, such as 0=0 1,2,3=NPDR "
        "4=PDR",
        metavar="GRADES=CLASS",
    )

    def check(self) -> None:
        """Raises UserError for an ensemble manifest, or another data set, where the mode has none,
        and for folds that there can't be."""
        checks.check_external(self.external, self.grade_map, self.mode)
        checks.check_ensemble(self.ensemble, self.mode, self.external)
        checks.check_folds(self.folds, self.fold)
