"""`--tensorboard`: the rows of history.csv as TensorBoard curves, if it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError

CURVES = ("lr", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_auc", "val_kappa")


def check_installed() -> None:
    """Raises UserError if the package is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError(
            "--tensorboard needs the tensorboard package: pip install tensorboard. Or omit it."
        )


def write_curves(folder: Path, epoch: int, rows: Iterable[dict[str, Any]]) -> None:
    """Adds the rows of an epoch to the curves in `folder`, one run per branch."""
    from torch.utils.tensorboard import SummaryWriter

    for row in rows:
        # Closed after each epoch, so that a killed run loses nothing. purge_step hides what an
        # interrupted run wrote for this epoch.
        with SummaryWriter(str(folder / row["branch"]), purge_step=epoch) as writer:
            for name in CURVES:
                if row[name] is not None:
                    writer.add_scalar(name, row[name], epoch)
