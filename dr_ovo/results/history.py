"""Reads the learning curves of each branch from history.csv."""

from __future__ import annotations

import csv
import math
from pathlib import Path

# Branch -> column -> one value per epoch; NaN where the field is empty.
History = dict[str, dict[str, list[float]]]
COLUMNS = (
    "epoch",
    "train_loss",
    "val_loss",
    "train_accuracy",
    "val_accuracy",
    "val_auc",
    "val_kappa",
)


def read_history(path: Path) -> History:
    """The curves of every branch in `path`, in epoch order.

    The epochs of a branch that was trained again restart at 1; only its last training is kept.
    Raises ValueError with the reason where there are no curves.
    """
    if not path.is_file():
        raise ValueError(f"there is no {path.name} in {path.parent}")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} can't be read ({error})") from None
    curves: History = {}
    for row in rows:
        _append(curves, row.get("branch"), {name: _number(row.get(name)) for name in COLUMNS})
    if not curves:
        raise ValueError(f"{path} has no finished epoch")
    return dict(sorted(curves.items()))


def _append(curves: History, branch: str | None, values: dict[str, float]) -> None:
    # The last line of a killed run may be incomplete.
    if not branch or math.isnan(values["epoch"]):
        return
    columns = curves.get(branch)
    if columns is None or values["epoch"] <= columns["epoch"][-1]:
        columns = curves[branch] = {name: [] for name in COLUMNS}
    for name, value in values.items():
        columns[name].append(value)


def _number(text: str | None) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
