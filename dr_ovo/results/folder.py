"""File names in a results folder, columns of history.csv, defaults for settings added later."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.csv_text import csv_text
from dr_ovo.errors import UserError
from dr_ovo.files import atomic_write_text

FOLDS_FILE = "folds.json"  # in a folder whose members are in fold_1, fold_2, ...
ENSEMBLE_FILE = "ensemble.json"  # the manifest of these members
OOF = "oof"  # as a split: train and val, each picture by the member that did not see it
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
        return read_json(self.progress, {"epoch": int, "finished": bool})

    def read_config(self) -> dict[str, Any]:
        """The content of config.json. Raises UserError where it is missing or damaged."""
        config = read_json(self.config, {"settings": dict})
        return {**config, "settings": LATER_SETTINGS | config["settings"]}

    def read_history(self, up_to: int) -> list[dict[str, Any]]:
        """The rows of epochs 1 to `up_to`, as text."""
        if not self.history.is_file():
            return []
        with self.history.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if int(row["epoch"]) <= up_to]

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """Writes all rows, whole or not at all; None becomes an empty field."""
        cells = ([row.get(field) for field in HISTORY_FIELDS] for row in rows)
        atomic_write_text(self.history, csv_text(HISTORY_FIELDS, cells))


def read_json(path: Path, required: Mapping[str, type]) -> dict[str, Any]:
    """A JSON object. Raises UserError where it is damaged, or a `required` key has another type."""
    try:
        data = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} can't be read ({error}). Restore it, or use another --output_dir."
        ) from None
    for key, kind in required.items():
        if type(data.get(key)) is not kind:
            raise UserError(
                f"{path} is damaged: its {key} is {data.get(key)!r}. Restore it, or use another "
                "--output_dir."
            )
    return data
