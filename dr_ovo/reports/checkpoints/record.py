"""The record of a checkpoint file and of its classifiers; None is unknown."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dr_ovo.pairs import Pair


class UnreadableError(Exception):
    """A file that can't be reported on; its text is the reason."""


@dataclass(frozen=True)
class Classifier:
    """One classifier of a checkpoint. Figures are fractions; None is unknown."""

    pair: Pair | None
    epoch: int | None
    val_accuracy: float | None = None
    val_auc: float | None = None
    val_sensitivity: float | None = None
    val_specificity: float | None = None
    train_accuracy: float | None = None
    note: str = ""

    @property
    def train_val_gap(self) -> float | None:
        """Train minus validation accuracy (a difference, because a ratio could divide by zero)."""
        if self.train_accuracy is None or self.val_accuracy is None:
            return None
        return self.train_accuracy - self.val_accuracy


@dataclass(frozen=True)
class Checkpoint:
    """The content of a file. `earlier`: written by an earlier toolkit; None is unknown."""

    file: Path
    architecture: str | None
    parameters: int | None
    bytes: int
    classifiers: tuple[Classifier, ...]
    head: str | None = None
    ovo_mode: str | None = None
    branch: str | None = None
    num_classes: int = 5
    synthetic: bool = False
    leaky: bool = False
    earlier: bool = False


def number(value: Any) -> float | None:
    """The value as a finite float: a number, numpy scalar or one-element tensor; None otherwise."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return float(value) if math.isfinite(value) else None


def fraction(value: Any) -> float | None:
    """The value where it is a number in [0, 1]; None otherwise."""
    found = number(value)
    return found if found is not None and 0 <= found <= 1 else None
