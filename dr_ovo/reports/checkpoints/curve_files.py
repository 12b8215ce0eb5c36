"""Where learning curves are saved: one PNG per results folder, or a given file name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dr_ovo.document.figure_style import figure_name
from dr_ovo.errors import MachineError, UserError
from dr_ovo.files import atomic_write_bytes
from dr_ovo.reports.checkpoints.learning_curves import learning_curves
from dr_ovo.reports.checkpoints.model_sets import ModelSet
from dr_ovo.results.history import read_history
from dr_ovo.tables import wrapped

DEFAULT_NAME = "learning_curves.png"


def draw_all(models: Sequence[ModelSet], target: Path | None) -> list[str]:
    """Draws the curves of every results folder; returns one line per folder: its file or a reason.

    `target` is the PNG's path (numbered where there are several results folders); without it
    learning_curves.png goes into each results folder. A folder that can't be written to is
    reported and skipped.
    """
    folders: dict[Path, list[ModelSet]] = {}
    for model in models:
        folders.setdefault(model.results_folder.resolve(), []).append(model)
    lines = []
    for count, group in enumerate(folders.values(), start=1):
        folder = group[0].results_folder
        path = folder / DEFAULT_NAME if target is None else target
        if target is not None and len(folders) > 1:
            path = target.with_name(f"{target.stem}_{count}{target.suffix}")
        lines.append(wrapped(_draw(group, folder, path)))
    return lines


def _draw(models: Sequence[ModelSet], folder: Path, path: Path) -> str:
    try:
        history = read_history(folder / "history.csv")
    except UserError as error:
        return f"No learning curves for {folder}: {error}"
    checkpoints = [checkpoint for model in models for checkpoint in model.checkpoints]
    epochs = [(checkpoint.branch, checkpoint.classifiers[0].epoch) for checkpoint in checkpoints]
    best = {branch: epoch for branch, epoch in epochs if branch and epoch is not None}
    names = dict.fromkeys(model.first.architecture or "unknown architecture" for model in models)
    title = f"{figure_name(', '.join(names))}: {figure_name(folder.resolve().name)}"
    if any(checkpoint.synthetic for checkpoint in checkpoints):
        title += "\nSYNTHETIC images"
    if any(checkpoint.leaky for checkpoint in checkpoints):
        title += "\nLEAKY dataset"
    try:
        atomic_write_bytes(path, learning_curves(history, title, best))
    except MachineError as error:
        return f"No learning curves for {folder}: {error.__cause__ or error}"
    return f"Learning curves of {folder}: {path}"
