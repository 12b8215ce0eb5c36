"""File names in a results folder, columns of history.csv, defaults for settings added later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dr_ovo.csv_text import csv_text
from dr_ovo.errors import UserError
from dr_ovo.files import atomic_write_text
from dr_ovo.json_files import check_schema, read_json
from dr_ovo.results.history import read_rows
from dr_ovo.results.schemas import Config, Descriptor, Evaluation, Progress
from dr_ovo.sealed_json import check_digest

FOLDS_FILE = "folds.json"  # in a folder whose members are in fold_1, fold_2, ...
ENSEMBLE_FILE = "ensemble.json"  # the manifest of these members
SUPER_FILE = "super_ensemble.json"  # what evaluate_super_ensemble.py says of its ensemble
RETRAINING = "retrain"  # a folder of new classifiers inside the network's, while they train
OOF = "oof"  # as a split: train and val, each picture by the member that did not see it
GRADE_FROM = "grade_from"  # key of the evaluation of a mean: argmax, or expected
MEMBER_TEMPERATURES = "member_temperatures"  # another key there: by the names of their folders
STOPPED = "stopped_learning"  # key of an evaluation: what answers every image alike
EXTERNAL = "external"  # as a split: another data set; and a folder with a folder for each of them
HISTORY_FIELDS = (
    "epoch", "branch", "lr", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_auc",
    "val_kappa", "seconds", "images_per_second", "peak_memory_mb", "skipped_steps",
    "micro_batch", "rate_scale",
)  # fmt: skip


# Settings added after the first results folders were written, with the values those ran with.
LATER_SETTINGS: dict[str, Any] = {
    "preprocessing": [],
    "tta_views": 1,
    "ema_decay": 0.0,
    "keep_epoch": "best",
    "regression_loss": "smooth_l1",
    "feature_views": 0,
    "folds": 0,
    "fold": 0,
    "saturation_range": 0.0,
    "hue_range": 0.0,
    "blur_range": 0.0,
    "layer_decay": 1.0,
    "drop_path": 0.0,
    "pretrained_head": False,
    "prior_correction": False,
}


@dataclass(frozen=True)
class ResultsFolder:
    """The files of one trained architecture."""

    root: Path

    @property
    def models(self) -> Path:
        """The best checkpoints."""
        return self.root / "models"

    @property
    def config(self) -> Path:
        """config.json: every setting and where it came from."""
        return self.root / "config.json"

    @property
    def history(self) -> Path:
        """history.csv: one row per epoch and branch."""
        return self.root / "history.csv"

    @property
    def resume(self) -> Path:
        """Everything needed to resume training exactly."""
        return self.root / "resume"

    @property
    def progress(self) -> Path:
        """The newest state of the training: its finished epochs, and the files that belong to
        it."""
        return self.resume / "progress.json"

    @property
    def previous(self) -> Path:
        """The state before the newest, as in progress.json."""
        return self.resume / "previous.json"

    @property
    def validated(self) -> Path:
        """The last state whose epoch was validated, as in progress.json."""
        return self.resume / "validated.json"

    def predictions(self, split: str) -> Path:
        """The predictions on a split: logits, probabilities and grades."""
        return self.root / f"predictions_{split}.npz"

    def evaluation(self, split: str) -> Path:
        """The metrics on a split; those on test are in evaluation.json."""
        return self.root / ("evaluation.json" if split == "test" else f"evaluation_{split}.json")

    @property
    def evaluating(self) -> Path:
        """Is there while an evaluation is written, and after one that was stopped meanwhile."""
        return self.root / "evaluating.json"

    @property
    def outcome(self) -> Path:
        """What became of a pair that was trained again, while that is put in place."""
        return self.root / RETRAINING / "outcome.json"

    @property
    def train_features(self) -> Path:
        """Features of train pictures, by which others are told to be unlike them."""
        return self.root / "train_features.npz"

    @property
    def calibration(self) -> Path:
        """Temperature and operating points from val."""
        return self.root / "calibration.json"

    def finished_epochs(self) -> int:
        """The number of finished epochs; 0 for a missing or an empty folder."""
        return int(self.read_progress()["epoch"]) if self.progress.is_file() else 0

    def has_begun(self) -> bool:
        """Whether there is a state that a training can go on from, or its finished end."""
        if not self.progress.is_file():
            return False
        progress = self.read_progress()
        return progress["epoch"] > 0 or "within" in progress

    def is_finished(self) -> bool:
        """Whether training ran to its end."""
        return self.progress.is_file() and bool(self.read_progress()["finished"])

    def read_progress(self) -> dict[str, Any]:
        """The content of progress.json. Raises UserError where it is damaged."""
        return self.read_state(self.progress)

    def read_state(self, path: Path) -> dict[str, Any]:
        """The content of progress.json, previous.json or validated.json. Raises UserError where it
        is damaged."""
        return _read(path, Progress, TRAIN_AGAIN)

    def read_config(self) -> dict[str, Any]:
        """The content of config.json. Raises UserError where it is missing or damaged."""
        config = _read(self.config, Config, TRAIN_AGAIN)
        settings = LATER_SETTINGS | config.get("settings", {})
        return (
            {"data_hash": "", "skipped_images": [], "retrained": []}
            | config
            | {"settings": settings}
        )

    def dataset_of_commands(self) -> str:
        """The dataset of the training, for a command to the user; DATASET where config.json says
        none, or is missing or damaged."""
        try:
            return str(self.read_config()["settings"]["dataset_path"])
        except (UserError, KeyError):
            return "DATASET"

    def read_evaluation(self, split: str) -> dict[str, Any]:
        """The content of the evaluation on a split; empty where there is none. Raises UserError
        where it is damaged."""
        path = self.evaluation(split)
        return _read(path, Evaluation, EVALUATE_AGAIN) if path.is_file() else {}

    def stopped_learning(self) -> tuple[str, ...]:
        """What answers every image alike, as any of the evaluations says: all, pairs, or members.
        Raises UserError where one is damaged."""
        found = [self.read_evaluation(split).get(STOPPED, []) for split in ("test", OOF, "val")]
        return tuple(dict.fromkeys(name for names in found for name in names))

    def read_descriptors(self) -> dict[str, dict[str, Any]]:
        """The JSON files beside the checkpoints, by the names of these. Raises UserError where one
        is damaged."""
        files = sorted(self.models.glob("best_*.json"))
        return {
            path.with_suffix(".pth").name: _read(path, Descriptor, TRAIN_AGAIN) for path in files
        }

    def read_history(self, up_to: int) -> list[dict[str, str]]:
        """The rows of epochs 1 to `up_to`, as text. Raises UserError where they are damaged."""
        if not self.history.is_file():
            return []
        return [row for row in read_rows(self.history) if int(row["epoch"]) <= up_to]

    def write_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes all rows, whole or not at all; None becomes an empty field."""
        cells = ([row.get(field) for field in HISTORY_FIELDS] for row in rows)
        atomic_write_text(self.history, csv_text(HISTORY_FIELDS, cells))


TRAIN_AGAIN = "Restore it from a copy, or train in another --output_dir."
EVALUATE_AGAIN = "Restore it, or evaluate again."


def _read(path: Path, schema: type[msgspec.Struct], advice: str) -> dict[str, Any]:
    content = check_schema(read_json(path, advice), schema, path, advice)
    check_digest(content, path, advice)
    return content
