"""Reads one checkpoint file: required fields, schema, validation metrics, notes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dr_ovo.models.metadata import (
    SCHEMA,
    STATE,
    MetadataError,
    checked_metadata,
    is_ours,
    require_outputs,
)
from dr_ovo.reports.checkpoints.earlier_toolkits import earlier_checkpoint
from dr_ovo.reports.checkpoints.record import Checkpoint, Classifier, UnreadableError, fraction
from dr_ovo.safe_files.archive import BEGIN
from dr_ovo.safe_files.foreign import read_foreign
from dr_ovo.safe_files.problems import ExcessError, ObjectsError, RefusedFileError

REQUIRED = {
    "architecture": str,
    "head": str,
    "ovo_mode": str,
    "branch": str,
    "num_classes": int,
    "epoch": int,
    "metrics": dict,
    "parameters": int,
}
FIGURES = {
    "val_accuracy": "validation accuracy",
    "val_auc": "AUC",
    "val_sensitivity": "sensitivity",
    "val_specificity": "specificity",
}


def read_checkpoint(file: Path) -> Checkpoint:
    """The record of a checkpoint of this toolkit or of an earlier one.

    Raises UnreadableError with the reason where nothing can be shown.
    """
    content = read_content(file)
    if not isinstance(content, dict) or not content:
        raise UnreadableError(f"holds no checkpoint, only a {type(content).__name__}")
    if not is_ours(content):
        return earlier_checkpoint(file, content)
    if content.get("schema") != SCHEMA:
        found = content.get("schema")
        raise UnreadableError(f"has schema {found}; this version reads schema {SCHEMA}")
    wrong = [key for key, kind in REQUIRED.items() if not isinstance(content.get(key), kind)]
    if wrong:
        raise UnreadableError(f"incomplete: {', '.join(wrong)} missing or of the wrong type")
    try:
        meta = checked_metadata(content)
        if meta.get("pairs"):
            require_outputs(meta, content.get(STATE, {}), len(meta["pairs"]))
        return _own_checkpoint(file, meta)
    except MetadataError as error:
        raise UnreadableError(f"its metadata is not in this toolkit's format: {error}") from None


def read_content(file: Path) -> Any:
    """What a file of any program holds; tensors stay on disk until they are used. The checksums of
    tensors are not compared: a report shows none of their numbers.

    Raises UnreadableError with the reason: empty, damaged, or with pickled classes.
    """
    try:
        if file.stat().st_size == 0:
            raise UnreadableError("empty: 0 bytes")
        return read_foreign(file, checksums=False)
    except ObjectsError as error:
        raise UnreadableError(
            f"not loaded: it holds pickled Python objects ({', '.join(error.names)}), and reading "
            "those can run code; save only the state_dict where the file was made"
        ) from None
    except ExcessError as error:
        raise UnreadableError(f"not loaded: {error}") from None
    except RefusedFileError as error:
        with file.open("rb") as opened:
            zipped = opened.read(len(BEGIN)) == BEGIN
        kind = "damaged or truncated" if zipped else "damaged, or not a PyTorch checkpoint"
        raise UnreadableError(f"{kind}: {error}") from None
    except OSError as error:
        raise UnreadableError(f"can't be read: {error.strerror or error}") from None


def _own_checkpoint(file: Path, content: Mapping[str, Any]) -> Checkpoint:
    metrics = content["metrics"]
    rows = metrics.get("pairs") or [{**metrics, "pair": None}]
    try:
        classifiers = tuple(_classifier(row, content["epoch"]) for row in rows)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnreadableError(f"its metadata is not in this toolkit's format: {error}") from None
    return Checkpoint(
        file,
        content["architecture"],
        content["parameters"],
        file.stat().st_size,
        classifiers,
        head=content["head"],
        ovo_mode=content["ovo_mode"],
        branch=content["branch"],
        num_classes=content["num_classes"],
        synthetic=content.get("synthetic") is True,
        leaky=content.get("leaky") is True,
    )


def _classifier(row: Mapping[str, Any], epoch: int) -> Classifier:
    figures = {name: fraction(row.get(name)) for name in FIGURES}
    train_accuracy = fraction(row.get("train_accuracy"))
    unknown = [FIGURES[name] for name, value in figures.items() if value is None]
    notes = ["one epoch of training"] if epoch == 1 else []
    if unknown:
        notes.append(f"{', '.join(unknown)} unknown: not in the checkpoint")
    if train_accuracy is None:
        notes.append("train-val gap unknown: no train accuracy (--train_sample 0 measures none)")
    pair = None if row.get("pair") is None else (int(row["pair"][0]), int(row["pair"][1]))
    return Classifier(pair, epoch, **figures, train_accuracy=train_accuracy, note="; ".join(notes))
