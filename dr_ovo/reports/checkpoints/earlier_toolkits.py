"""Checkpoints of earlier toolkits: the keys under which they store metrics and weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from dr_ovo.models.metadata import CLASSES
from dr_ovo.pairs import Pair
from dr_ovo.reports.checkpoints.record import (
    Checkpoint,
    Classifier,
    UnreadableError,
    fraction,
    number,
)

NAMES = {
    "val_accuracy": (
        "best_val_accuracy",
        "best_val_acc",
        "val_accuracy",
        "val_acc",
        "best_accuracy",
        "best_acc",
    ),
    "val_auc": ("best_val_auc", "val_auc", "auc"),
    "val_sensitivity": ("val_sensitivity", "sensitivity"),
    "val_specificity": ("val_specificity", "specificity"),
    "train_accuracy": ("train_accuracy", "train_acc"),
}
EPOCHS = ("best_epoch", "epoch")
METRICS = ("metrics", "val_metrics")
SETTINGS = ("config", "args", "hyper_parameters")
ARCHITECTURES = ("architecture", "arch", "model_name", "base_model", "backbone")
WEIGHTS = ("model_state_dict", "state_dict", "model", "net", "weights")
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
# A value above this is a percentage: no fraction reaches it, and no classifier is that bad.
PERCENT_ABOVE = 1.5
USUAL = 5  # classes, where a file names no plausible number
EARLIER = "shown as stored, can't be evaluated here"

Found = tuple[float | None, str]


def earlier_checkpoint(file: Path, content: Mapping[str, Any]) -> Checkpoint:
    """The record of a checkpoint that this toolkit did not write.

    Raises UnreadableError where it contains neither weights nor a known metric.
    """
    scopes = _dicts(content, METRICS)
    figures = {name: _figure(scopes, names) for name, names in NAMES.items()}
    weights = _weights(content)
    if weights is None and all(value is None for value, _ in figures.values()):
        keys = ", ".join(sorted(map(str, content))[:8])
        raise UnreadableError(f"holds neither weights nor known metrics (keys: {keys})")
    _fill_from_history(content.get("history"), figures)
    settings = _dicts(content, SETTINGS)
    named_architecture, named_pair = _from_name(file.stem)
    parameters = None if weights is None else _count(weights)
    epoch = _first(scopes, EPOCHS)
    classifier = Classifier(
        _stored_pair(content) or named_pair,
        None if epoch is None else int(epoch),
        **{name: value for name, (value, _) in figures.items()},
        note=_note(content, weights, figures),
    )
    classes = _first(settings, ("num_classes",)) or USUAL
    return Checkpoint(
        file,
        _architecture(settings) or named_architecture,
        parameters,
        file.stat().st_size,
        (classifier,),
        num_classes=int(classes) if classes in CLASSES else USUAL,
        earlier=True,
    )


def _dicts(content: Mapping[str, Any], names: Iterable[str]) -> list[Mapping[str, Any]]:
    return [content, *(content[name] for name in names if isinstance(content.get(name), dict))]


def _first(scopes: Iterable[Mapping[str, Any]], names: Iterable[str]) -> float | None:
    found = (number(scope.get(name)) for scope in scopes for name in names)
    return next((value for value in found if value is not None), None)


def _as_fraction(value: float) -> Found:
    if value > PERCENT_ABOVE:
        return fraction(value / 100), "percentage"
    return fraction(value), "fraction"


def _figure(scopes: list[Mapping[str, Any]], names: Iterable[str]) -> Found:
    found = _first(scopes, names)
    return (None, "") if found is None else _as_fraction(found)


def _fill_from_history(history: Any, figures: dict[str, Found]) -> None:
    """Fills in accuracies that are only in the history: those of its best validation epoch.

    The lists may be empty or of different lengths; missing values stay unknown.
    """
    if not isinstance(history, dict):
        return
    lists = {name: _series(history, NAMES[name]) for name in ("val_accuracy", "train_accuracy")}
    values = [-1.0 if value is None else value for value in lists["val_accuracy"]]
    if not values or max(values) < 0:
        return
    best = values.index(max(values))
    for name, series in lists.items():
        if figures[name][0] is None and best < len(series) and series[best] is not None:
            scale = 100.0 if max(filter(None, series), default=0.0) > PERCENT_ABOVE else 1.0
            kind = "percentage" if scale > 1 else "fraction"
            figures[name] = fraction((series[best] or 0.0) / scale), f"{kind}, from its history"


def _series(history: Mapping[str, Any], names: Iterable[str]) -> list[float | None]:
    for name in names:
        if isinstance(history.get(name), list | tuple):
            return [number(value) for value in history[name]]
    return []


def _weights(content: Mapping[str, Any]) -> Mapping[str, torch.Tensor] | None:
    """The state dict in the content, or the content itself where it consists only of tensors."""
    for candidate in (*(content.get(name) for name in WEIGHTS), content):
        if isinstance(candidate, dict) and candidate:
            tensors = [value for value in candidate.values() if isinstance(value, torch.Tensor)]
            if len(tensors) == len(candidate):
                return candidate
    return None


def _count(weights: Mapping[str, torch.Tensor]) -> int:
    return sum(
        tensor.numel()
        for name, tensor in weights.items()
        if tensor.is_floating_point() and not str(name).endswith(BUFFERS)
    )


def _architecture(settings: list[Mapping[str, Any]]) -> str | None:
    found = (scope.get(name) for scope in settings for name in ARCHITECTURES)
    return next((name for name in found if isinstance(name, str) and name), None)


def _stored_pair(content: Mapping[str, Any]) -> Pair | None:
    for name in ("pair", "class_pair"):
        values = content.get(name)
        if isinstance(values, list | tuple) and len(values) == 2:
            a, b = (number(value) for value in values)
            if a is not None and b is not None and 0 <= a < b:
                return int(a), int(b)
    return None


def _from_name(stem: str) -> tuple[str | None, Pair | None]:
    """Architecture and pair of names such as best_coatnet_0_rw_224_0_1 and best_densenet121."""
    match = re.fullmatch(r"best_(.+)_(\d)_(\d)", stem)
    if match and match.group(2) < match.group(3):
        return match.group(1), (int(match.group(2)), int(match.group(3)))
    return stem.removeprefix("best_") if stem.startswith("best_") else None, None


def _note(content: Mapping[str, Any], weights: Any, figures: Mapping[str, Found]) -> str:
    notes = [EARLIER]
    if weights is content:
        notes.append("bare weights, nothing else is stored")
    kind = figures["val_accuracy"][1]
    if kind:
        notes.append(f"validation accuracy was stored as a {kind}")
    return "; ".join(notes)
