"""The figure of learning curves: which columns of history.csv are drawn, and in which style."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dr_ovo.document.figure_style import figure_name, new_figure, png
from dr_ovo.results.history import History

ACROSS = 5  # branches side by side
KEPT = "kept epoch"
# Curves of a branch's upper and lower panel: column, label, colour, line style, marker.
SCORES = (
    ("train_accuracy", "train accuracy", "#E69F00", "--", "s"),
    ("val_accuracy", "val accuracy", "#0072B2", "-", "o"),
    ("val_auc", "val AUC", "#009E73", "-.", "^"),
    ("val_kappa", "val quadratic kappa", "#CC79A7", ":", "D"),
)
LOSSES = (
    ("train_loss", "train loss", "#E69F00", "--", "s"),
    ("val_loss", "val loss", "#0072B2", "-", "o"),
)


def learning_curves(history: History, title: str, best: Mapping[str, int]) -> bytes:
    """PNG with two panels per branch, scores above losses; a vertical line marks the kept epoch.

    `best` maps a branch to the epoch of its checkpoint, where it is known. Branches have separate
    panels because ten curves in one panel can't be told apart.
    """
    across = min(ACROSS, len(history))
    bands = math.ceil(len(history) / ACROSS)
    size = (max(6.5, 2.7 * across + 0.5), 4.6 * bands + 1.0)
    figure = new_figure(*size)
    panels = figure.subplots(2 * bands, across, squeeze=False, sharex=True, sharey="row")
    for index in range(bands * across):
        band, column = divmod(index, across)
        scores, losses = panels[2 * band, column], panels[2 * band + 1, column]
        if index >= len(history):
            scores.set_visible(False)
            losses.set_visible(False)
            continue
        branch = list(history)[index]
        _draw(scores, history[branch], SCORES, best.get(branch))
        _draw(losses, history[branch], LOSSES, best.get(branch))
        scores.set_title(_branch_title(branch), fontsize=10)
        losses.set_xlabel("epoch")
    for row in range(2 * bands):
        panels[row, 0].set_ylabel("score (0-1)" if row % 2 == 0 else "loss")
    last = max(curves["epoch"][-1] for curves in history.values())
    panels[0, 0].set_xlim(0.5, last + 0.5)
    figure.suptitle(title, fontsize=12)
    _legend(figure)
    return png(figure)


def _draw(panel: Any, curves: Mapping[str, list[float]], lines: Any, best: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    # A single epoch needs a marker to be visible; many markers would hide the lines.
    size = 4 if len(curves["epoch"]) <= 15 else 0
    for column, label, colour, style, marker in lines:
        if not all(map(math.isnan, curves[column])):
            panel.plot(
                curves["epoch"],
                curves[column],
                color=colour,
                linestyle=style,
                marker=marker,
                markersize=size,
                label=label,
            )
    if best is not None:
        panel.axvline(best, color="0.35", linewidth=0.9, label=KEPT, zorder=1)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    panel.tick_params(labelbottom=True, labelsize=8)
    panel.grid(color="0.9", linewidth=0.6)
    panel.set_axisbelow(True)


def _branch_title(branch: str) -> str:
    parts = branch.split("_")
    pair = len(parts) == 2 and all(part.isdecimal() for part in parts)
    return f"grade {parts[0]} or {parts[1]}" if pair else f"{figure_name(branch)} head"


def _legend(figure: Any) -> None:
    """One legend for all panels; a loss has the style of its accuracy and shares its entry."""
    handles: dict[str, Any] = {}
    for panel in figure.axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    names = {label: label for label in [line[1] for line in (*SCORES, *LOSSES)] + [KEPT]}
    for _, loss, *_ in LOSSES:
        accuracy = loss.replace("loss", "accuracy")
        if accuracy in handles and handles.pop(loss, None):
            names[accuracy] = f"{accuracy}, loss"
    shown = [label for label in names if label in handles]
    figure.legend(
        [handles[label] for label in shown],
        [names[label] for label in shown],
        loc="outside lower center",
        ncols=3,
        fontsize=9,
    )
