"""Reads a results folder for the reports: predictions, calibration, facts about the model.

Neither images nor checkpoints nor torch are needed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.ensembles.combination import tempered
from dr_ovo.ensembles.manifest import read_manifest
from dr_ovo.errors import UserError
from dr_ovo.models.architectures import architecture_of
from dr_ovo.predictions.calibration_file import Calibration, load_calibration
from dr_ovo.predictions.predictions_file import Predictions, load_predictions, marks_of
from dr_ovo.results.folder import ENSEMBLE_FILE, FOLDS_FILE, OOF

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


@dataclass(frozen=True, eq=False)
class ModelResults:
    """One model: its name in the reports, its folder, and its predictions on val and test."""

    name: str
    folder: Path
    val: Predictions
    test: Predictions
    calibration: Calibration
    facts: Facts

    @property
    def member_val(self) -> Predictions:
        """Val as an ensemble uses it: with tempered probabilities."""
        return tempered(self.val, self.calibration.temperature)

    @property
    def member_test(self) -> Predictions:
        """Test, likewise."""
        return tempered(self.test, self.calibration.temperature)


def read_results(folder: Path, name: str) -> ModelResults:
    """The results in a folder. Raises UserError where something is missing or damaged."""
    check_evaluated(folder)
    predictions = {split: load_predictions(_predictions(folder, split)) for split in SPLITS}
    if (folder / FOLDS_FILE).is_file():
        # Test is the mean of tempered members: out of fold they are compared as they enter it.
        temperature = read_manifest(folder / ENSEMBLE_FILE).members[0].temperature
        predictions["val"] = tempered(predictions["val"], temperature)
    calibration = load_calibration(folder / "calibration.json")
    facts = read_facts(folder, predictions["test"].head, list(predictions.values()))
    return ModelResults(name, folder, predictions["val"], predictions["test"], calibration, facts)


def _predictions(folder: Path, split: str) -> Path:
    """The predictions on a split. In a folder of `--folds`, whose members learned from val, those
    out of fold are in its place."""
    if split == "val" and (folder / FOLDS_FILE).is_file():
        split = OOF
    return folder / f"predictions_{split}.npz"


def check_evaluated(folder: Path) -> None:
    """Raises UserError for a path that is no results folder, and for one without evaluation."""
    if not folder.is_dir():
        kind = "a file" if folder.exists() else "not there"
        raise UserError(
            f"{folder} is {kind}; expected a results folder, as training and evaluation write "
            "it (<model>_5class_results)."
        )
    needed = [*(_predictions(folder, split).name for split in SPLITS), "calibration.json"]
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
        f"--dataset_path {_dataset(folder)}"
    )


def _dataset(folder: Path) -> str:
    try:
        config = _read_json(folder / "config.json")
    except UserError:
        return "DATASET"
    settings = config.get("settings")
    return str(settings.get("dataset_path", "DATASET") if isinstance(settings, dict) else "DATASET")


def read_facts(folder: Path, head: str, predictions: Sequence[Predictions] = ()) -> Facts:
    """What config.json, history.csv and the checkpoints' JSON files say about a model.

    Marks also come from `predictions`, which may have been moved without the other files.
    """
    config = _read_json(folder / "config.json")
    settings = config.get("settings", {})
    if not isinstance(settings, dict):
        raise UserError(f"{folder / 'config.json'}: settings is no object. Restore it.")
    checkpoints = [_read_json(path) for path in sorted((folder / "models").glob("*.json"))]
    models = settings.get("base_models") or [meta.get("architecture") for meta in checkpoints]
    architecture = models[0] if isinstance(models, list) and models else None
    if not isinstance(architecture, str) or not architecture:
        architecture = None
    known_architecture = architecture_of(architecture) if architecture else None
    evaluation = _read_json(folder / "evaluation.json")
    sources = [config, *checkpoints, evaluation]
    return Facts(
        architecture=known_architecture.timm_name if known_architecture else architecture,
        family=known_architecture.family if known_architecture else None,
        paradigm=known_architecture.paradigm if known_architecture else None,
        head=head,
        parameters=_parameters(checkpoints),
        bytes=sum(size for meta in checkpoints if isinstance(size := meta.get("bytes"), int))
        or None,
        training_seconds=_training_seconds(folder / "history.csv"),
        marks=tuple(marks_of(sources, predictions)),
        prior_corrected=evaluation.get("prior_corrected") is True,
    )


def _read_json(path: Path) -> Mapping[str, Any]:
    """The content of a JSON file; empty where there is none. Raises UserError where damaged."""
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} can't be read ({error}). Restore it, or evaluate again.") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} is not a JSON object. Restore it, or evaluate again.")
    return data


def _parameters(checkpoints: list[Mapping[str, Any]]) -> int | None:
    """Parameters of the whole network; a stem shared by several branches counts once."""
    total = [meta.get("parameters") for meta in checkpoints]
    trained = [meta.get("trained_parameters") for meta in checkpoints]
    counts = [count for count in (*total, *trained) if isinstance(count, int)]
    if not counts or len(counts) < 2 * len(checkpoints):
        return None
    branches = len(checkpoints)
    return counts[0] - counts[branches] + sum(counts[branches:])


def _training_seconds(path: Path) -> float | None:
    """The sum over epochs of the slowest branch's seconds: branches train in parallel."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        by_epoch: dict[str, float] = {}
        for row in rows:
            seconds = float(row["seconds"])
            by_epoch[row["epoch"]] = max(seconds, by_epoch.get(row["epoch"], 0.0))
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
    return sum(by_epoch.values()) if by_epoch else None
