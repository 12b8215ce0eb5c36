"""Results folders read for the reports: predictions, calibration, and what is known of the model.

No picture, no checkpoint and no torch is needed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.models.architectures import architecture_of
from dr_ovo.predictions.calibration import Calibration, load_calibration
from dr_ovo.predictions.predictions_file import Predictions, load_predictions, marks_of

SPLITS = ("val", "test")


@dataclass(frozen=True)
class Facts:
    """What a results folder says of its model beside the predictions; None is unknown."""

    architecture: str | None  # timm's name
    family: str | None  # CNN, modern CNN, hybrid, transformer
    paradigm: str | None  # convolution, attention, both
    head: str
    parameters: int | None
    bytes: int | None
    training_seconds: float | None
    marks: tuple[str, ...]  # of SYNTHETIC, SIMULATED, LEAKY


@dataclass(frozen=True, eq=False)
class ModelResults:
    """One model: its name in the reports, its folder, and its answers on val and test."""

    name: str
    folder: Path
    val: Predictions
    test: Predictions
    calibration: Calibration
    facts: Facts


def read_results(folder: Path, name: str) -> ModelResults:
    """The results in a folder. Raises UserError where something is missing or damaged."""
    check_evaluated(folder)
    held = {split: load_predictions(folder / f"predictions_{split}.npz") for split in SPLITS}
    calibration = load_calibration(folder / "calibration.json")
    facts = read_facts(folder, held["test"].head, list(held.values()))
    return ModelResults(name, folder, held["val"], held["test"], calibration, facts)


def check_evaluated(folder: Path) -> None:
    """Raises UserError for what is no results folder, and for one that was not evaluated."""
    if not folder.is_dir():
        kind = "a file" if folder.exists() else "not there"
        raise UserError(
            f"{folder} is {kind}; expected a results folder, as training and evaluation make "
            "it (<model>_5class_results)."
        )
    needed = [*(f"predictions_{split}.npz" for split in SPLITS), "calibration.json"]
    missing = [file for file in needed if not (folder / file).is_file()]
    if not missing:
        return
    if not (folder / "config.json").is_file() and len(missing) == len(needed):
        raise UserError(
            f"{folder} is no results folder: it holds neither config.json nor predictions. Give "
            "the folder that training wrote, such as ./coatnet_5class_results."
        )
    raise UserError(
        f"{folder} has no {', '.join(missing)}. Make them with: python "
        f"ensemble_5class_trainer.py --mode evaluate --output_dir {folder} "
        f"--dataset_path {_dataset(folder)}"
    )


def _dataset(folder: Path) -> str:
    try:
        held = _read_json(folder / "config.json")
    except UserError:
        return "DATASET"
    return str(held.get("settings", {}).get("dataset_path", "DATASET"))


def read_facts(folder: Path, head: str, predictions: Sequence[Predictions] = ()) -> Facts:
    """What config.json, history.csv and the files beside the checkpoints tell of a model; its marks
    also from its predictions, which may have been moved without the rest."""
    config = _read_json(folder / "config.json")
    settings = config.get("settings", {})
    checkpoints = [_read_json(path) for path in sorted((folder / "models").glob("*.json"))]
    models = settings.get("base_models") or [held.get("architecture") for held in checkpoints]
    architecture = models[0] if models and models[0] else None
    known = architecture_of(architecture) if architecture else None
    sources = [config, *checkpoints, _read_json(folder / "evaluation.json")]
    return Facts(
        architecture=known.timm_name if known else architecture,
        family=known.family if known else None,
        paradigm=known.paradigm if known else None,
        head=head,
        parameters=_parameters(checkpoints),
        bytes=sum(held.get("bytes", 0) for held in checkpoints) or None,
        training_seconds=_training_seconds(folder / "history.csv"),
        marks=tuple(marks_of(sources, predictions)),
    )


def _read_json(path: Path) -> Mapping[str, Any]:
    """The content of a JSON file; empty where there is none. Raises UserError where damaged."""
    if not path.is_file():
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read ({error}). Restore it, or evaluate again.") from None
    if not isinstance(held, dict):
        raise UserError(f"{path} holds no JSON object. Restore it, or evaluate again.")
    return held


def _parameters(checkpoints: list[Mapping[str, Any]]) -> int | None:
    """Of the whole network: branches that share a stem count it once."""
    whole = [held.get("parameters") for held in checkpoints]
    trained = [held.get("trained_parameters") for held in checkpoints]
    counts = [count for count in (*whole, *trained) if isinstance(count, int)]
    if not counts or len(counts) < 2 * len(checkpoints):
        return None
    branches = len(checkpoints)
    return counts[0] - counts[branches] + sum(counts[branches:])


def _training_seconds(path: Path) -> float | None:
    """The sum over epochs of the time of the slowest row: branches train side by side."""
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
