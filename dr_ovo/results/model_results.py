"""Reads a results folder for the reports: predictions, calibration, facts about the model.

Neither images nor checkpoints nor torch are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.ensembles.combination import tempered
from dr_ovo.ensembles.manifest import read_manifest
from dr_ovo.errors import UserError
from dr_ovo.files import last_written
from dr_ovo.models.architectures import architecture_of
from dr_ovo.predictions.calibration_file import Calibration, load_calibration
from dr_ovo.predictions.predictions_file import Predictions, load_predictions, marks_of
from dr_ovo.results.folder import ENSEMBLE_FILE, FOLDS_FILE, OOF, ResultsFolder
from dr_ovo.results.history import training_seconds
from dr_ovo.results.one_piece import is_verified, require_one_decoding

SPLITS = ("val", "test")


@dataclass(frozen=True)
class Facts:
    """What a results folder records about its model besides predictions; None is unknown."""

    architecture: str | None  # timm's name
    family: str | None  # CNN, modern CNN, hybrid, transformer
    paradigm: str | None  # convolution, attention, both
    head: str
    parameters: int | None
    bytes: int | None
    training_seconds: float | None
    marks: tuple[str, ...]  # of SYNTHETIC, SIMULATED, LEAKY
    prior_corrected: bool = False
    stopped: tuple[str, ...] = ()  # what answers every image alike: all, pairs, or members


@dataclass(frozen=True, eq=False)
class ModelResults:
    """One model: its name in the reports, its folder, and its predictions on val and test."""

    name: str
    folder: Path
    val: Predictions
    test: Predictions
    calibration: Calibration
    facts: Facts
    verified: bool = True  # False: an earlier version did not say what belongs together

    @property
    def out_of_fold(self) -> bool:
        """Whether val stands for train and val, graded by the members of `--folds` that did not
        see them."""
        return self.calibration.out_of_fold or (self.folder / FOLDS_FILE).is_file()

    @property
    def member_val(self) -> Predictions:
        """Val as an ensemble uses it: with tempered probabilities."""
        return tempered(self.val, self.calibration.temperature)

    @property
    def member_test(self) -> Predictions:
        """Test, likewise."""
        return tempered(self.test, self.calibration.temperature)


def read_results(folder: Path, name: str) -> ModelResults:
    """The results in a folder. Raises UserError where something is missing or damaged, and where
    its files do not belong together."""
    check_evaluated(folder)
    results, splits = ResultsFolder(folder), [_split(folder, split) for split in SPLITS]
    read = [results.calibration, *map(results.predictions, splits)]
    read += map(results.evaluation, splits)
    before = [*map(last_written, read)]
    val, test = (load_predictions(results.predictions(split)) for split in splits)
    if splits[0] == OOF:
        # Test is the mean of tempered members: out of fold they are compared as they enter it.
        val = tempered(val, read_manifest(folder / ENSEMBLE_FILE).members[0].temperature)
    calibration = load_calibration(results.calibration)
    facts = read_facts(folder, test.head, [val, test])
    verified = is_verified(results, splits)
    if OOF not in splits:  # the mean of members stands beside them with its manifest
        require_one_decoding(results)
    if before != [*map(last_written, read)]:
        raise UserError(f"{folder} was evaluated while it was read. Give the same command again.")
    return ModelResults(name, folder, val, test, calibration, facts, verified)


def _split(folder: Path, split: str) -> str:
    """The split of which there are predictions: in a folder of `--folds`, whose members learned
    from val, those out of fold are in its place."""
    return OOF if split == "val" and (folder / FOLDS_FILE).is_file() else split


def check_evaluated(folder: Path) -> None:
    """Raises UserError for a path that is no results folder, and for one without evaluation."""
    if not folder.is_dir():
        kind = "a file" if folder.exists() else "not there"
        raise UserError(
            f"{folder} is {kind}; expected a results folder, as training and evaluation write "
            "it (<model>_5class_results)."
        )
    needed = [f"predictions_{_split(folder, split)}.npz" for split in SPLITS]
    needed.append("calibration.json")
    if (folder / FOLDS_FILE).is_file():
        needed.append(ENSEMBLE_FILE)
    missing = [file for file in needed if not (folder / file).is_file()]
    if not missing:
        return
    if not (folder / "config.json").is_file() and len(missing) == len(needed):
        raise UserError(
            f"{folder} is no results folder: it has neither config.json nor predictions. Give "
            "the folder that training wrote, such as ./coatnet_5class_results."
        )
    raise UserError(
        f"{folder} has no {', '.join(missing)}. Create them with: python "
        f"ensemble_5class_trainer.py --mode evaluate --output_dir {folder} "
        f"--dataset_path {ResultsFolder(folder).dataset_of_commands()}"
    )


def read_facts(folder: Path, head: str, predictions: Sequence[Predictions] = ()) -> Facts:
    """What config.json, history.csv and the checkpoints' JSON files say about a model.

    Marks also come from `predictions`, which may have been moved without the other files. Raises
    UserError where one is damaged.
    """
    results = ResultsFolder(folder)
    config = results.read_config() if results.config.is_file() else {}
    checkpoints = [*results.read_descriptors().values()]
    evaluation = results.read_evaluation("test")
    names = [*config.get("settings", {}).get("base_models", [])]
    names += [one["architecture"] for one in checkpoints if "architecture" in one]
    known = architecture_of(names[0]) if names else None
    return Facts(
        architecture=known.timm_name if known else names[0] if names else None,
        family=known.family if known else None,
        paradigm=known.paradigm if known else None,
        head=head,
        parameters=_parameters(checkpoints),
        bytes=sum(one.get("bytes", 0) for one in checkpoints) or None,
        training_seconds=training_seconds(results.history),
        marks=tuple(marks_of([config, *checkpoints, evaluation], predictions)),
        prior_corrected=evaluation.get("prior_corrected", False),
        stopped=results.stopped_learning(),
    )


def _parameters(checkpoints: Sequence[Mapping[str, Any]]) -> int | None:
    """Parameters of the whole network; a stem shared by several branches counts once."""
    total = [meta.get("parameters") for meta in checkpoints]
    trained = [meta.get("trained_parameters") for meta in checkpoints]
    counts = [count for count in (*total, *trained) if isinstance(count, int)]
    if not counts or len(counts) < 2 * len(checkpoints):
        return None
    branches = len(checkpoints)
    return counts[0] - counts[branches] + sum(counts[branches:])
