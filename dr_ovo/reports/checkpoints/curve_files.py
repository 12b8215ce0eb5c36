"""The learning curves of analysed models: one picture a results folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dr_ovo.errors import MachineError
from dr_ovo.files import atomic_write_bytes
from dr_ovo.reports.checkpoints.learning_curves import learning_curves
from dr_ovo.reports.checkpoints.model_sets import ModelSet
from dr_ovo.results.history import read_history
from dr_ovo.tables import wrapped

DEFAULT_NAME = "learning_curves.png"


def draw_all(models: Sequence[ModelSet], target: Path | None) -> list[str]:
    """Draws the curves of every results folder; a line for each on where they are, or why not.

    `target` is the picture's path (numbered where there are several results folders); without it
    learning_curves.png goes into each results folder. A folder that can't be written to is said
    and passed over.
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
    except ValueError as error:
        return f"No learning curves for {folder}: {error}."
    held = [checkpoint for model in models for checkpoint in model.checkpoints]
    epochs = [(checkpoint.branch, checkpoint.classifiers[0].epoch) for checkpoint in held]
    best = {branch: epoch for branch, epoch in epochs if branch and epoch is not None}
    names = dict.fromkeys(model.first.architecture or "unknown architecture" for model in models)
    title = f"{', '.join(names)}: {folder.resolve().name}"
    if any(checkpoint.synthetic for checkpoint in held):
        title += "\nSYNTHETIC pictures"
    if any(checkpoint.leaky for checkpoint in held):
        title += "\nLEAKY dataset"
    try:
        atomic_write_bytes(path, learning_curves(history, title, best))
    except MachineError as error:
        return f"No learning curves for {folder}: {error.__cause__ or error}"
    return f"Learning curves of {folder}: {path}"
