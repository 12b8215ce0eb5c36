"""Reads history.csv: its rows, checked, and the learning curves of each branch."""

from __future__ import annotations

import contextlib
import csv
import io
import math
from pathlib import Path
from typing import Annotated

import msgspec

from dr_ovo.errors import UserError
from dr_ovo.json_files import problem_of
from dr_ovo.results.schemas import Count, Seconds

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
UNKNOWN = ("", "nan", None)  # a field without a number
Number = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)] | None


class Row(msgspec.Struct):
    """A row of history.csv; columns may be missing, since versions added some."""

    epoch: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]
    branch: Annotated[str, msgspec.Meta(min_length=1)]
    lr: Number = None
    train_loss: Number = None
    val_loss: Number = None
    train_accuracy: Number = None
    val_accuracy: Number = None
    val_auc: Number = None
    val_kappa: Number = None
    seconds: Seconds | None = None
    images_per_second: Number = None
    peak_memory_mb: Number = None
    skipped_steps: Count | None = None
    micro_batch: Count | None = None
    rate_scale: Number = None


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows, checked, as text. An incomplete last line, as a killed run may leave, is left out.

    Raises UserError, which names the line and what was expected, where there is no such file, and
    for a damaged one.
    """
    try:
        text = path.read_text(encoding="utf-8")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise UserError(f"There is no {path.name} in {path.parent}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} can't be read ({error}). {ADVICE}") from None
    problems = [_problem(row) for _, row in rows]
    if problems and problems[-1] and not text.endswith(("\n", "\r")):
        rows, problems = rows[:-1], problems[:-1]
    for (line, _), problem in zip(rows, problems, strict=True):
        if problem:
            raise UserError(f"{path}, line {line}: {problem}. {ADVICE}")
    return [row for _, row in rows]


ADVICE = "Restore it, or remove it: a training goes on without the figures of its earlier epochs."


def _problem(row: dict[str, str]) -> str:
    """What is wrong with a row, "" for nothing."""
    if None in row:
        return "more fields than columns"
    known = {name: value for name, value in row.items() if value not in UNKNOWN}
    numbers = {name: _parsed(value) for name, value in known.items() if name != "branch"}
    return problem_of(known | numbers, Row)


def _parsed(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def read_history(path: Path) -> History:
    """The curves of every branch in `path`, in epoch order.

    The epochs of a branch that was trained again restart at 1; only its last training is kept.
    Raises UserError as `read_rows` does, and where there are no curves.
    """
    curves: History = {}
    for row in read_rows(path):
        _append(curves, row["branch"], {name: _number(row.get(name)) for name in COLUMNS})
    if not curves:
        raise UserError(f"{path} has no finished epoch.")
    return dict(sorted(curves.items()))


def training_seconds(path: Path) -> float | None:
    """The sum over epochs of the slowest branch's seconds, since branches train in parallel; None
    where there is no such file, or one without times. Raises UserError where it is damaged."""
    by_epoch: dict[str, float] = {}
    for row in read_rows(path) if path.is_file() else []:
        seconds = _number(row.get("seconds"))
        if math.isnan(seconds):
            return None
        by_epoch[row["epoch"]] = max(seconds, by_epoch.get(row["epoch"], 0.0))
    return sum(by_epoch.values()) if by_epoch else None


def _append(curves: History, branch: str, values: dict[str, float]) -> None:
    columns = curves.get(branch)
    if columns is None or values["epoch"] <= columns["epoch"][-1]:
        columns = curves[branch] = {name: [] for name in COLUMNS}
    for name, value in values.items():
        columns[name].append(value)


def _number(text: str | None) -> float:
    return math.nan if text in UNKNOWN else float(text or "nan")
