"""Figures of analyze_per_class_strengths.py: heat maps of recall and F1, confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dr_ovo.document.document import Figure
from dr_ovo.document.figure_style import HEAT, figure_name, headline, new_figure, png

ACROSS = 4  # confusion matrices side by side
LONGEST_CLASS, LONGEST_TITLE = 26, 30  # characters that fit beside and above a matrix
SHOWN = {"recall": "recall (%)", "f1": "F1"}


def heat_figure(data: Mapping[str, Any], marks: Sequence[str]) -> Figure:
    """Recall and F1 of each model (rows) for each grade (columns)."""
    models, classes = data["models"], data["classes"]
    width = 3.2 + 2 * max(2.2, 0.72 * len(classes))
    figure = new_figure(width, 1.7 + 0.42 * len(models))
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (key, label) in zip(panels, SHOWN.items(), strict=True):
        values = [[entry["models"][name][key]["value"] for entry in classes] for name in models]
        shares = np.array(values, dtype=float)
        panel.imshow(shares, cmap=HEAT, vmin=0, vmax=1, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            label_text = f"{100 * share:.0f}" if key == "recall" else f"{share:.2f}"
            _write(panel, column, row, "-" if np.isnan(share) else label_text, share, 9)
        panel.set_title(label, fontsize=10)
        panel.set_xticks(
            range(len(classes)), [figure_name(entry["name"], LONGEST_CLASS) for entry in classes]
        )
        panel.set_xlabel("true grade" if key == "recall" else "grade")
        if any(len(entry["name"]) > 4 for entry in classes):
            panel.tick_params(axis="x", rotation=30)
        panel.tick_params(labelsize=9)
    panels[0].set_yticks(range(len(models)), list(map(figure_name, models)))
    headline(figure, "Strengths by grade on test", marks)
    return Figure("strengths_heat", png(figure), _heat_alt(data, marks))


def _write(panel: Any, x: int, y: int, text: str, share: float, size: float) -> None:
    """A cell's text, white on the dark half of the colour map; an empty cell has no fill."""
    colour = "white" if share < 0.5 else "black"
    panel.text(x, y, text, ha="center", va="center", color=colour, fontsize=size)


def _heat_alt(data: Mapping[str, Any], marks: Sequence[str]) -> str:
    shown = f"{', '.join(marks)}. " if marks else ""
    words = " ".join(entry["words"] for entry in data["classes"])
    return f"{shown}Heat maps of recall and F1, one row per model and one column per grade. {words}"


def confusion_figure(data: Mapping[str, Any], marks: Sequence[str]) -> Figure:
    """One confusion matrix per model: counts in the cells, shares of the true grade as colour."""
    confusions = data["confusion"]
    names = [figure_name(entry["name"], LONGEST_CLASS) for entry in data["classes"]]
    across = min(ACROSS, len(confusions))
    down = math.ceil(len(confusions) / across)
    side = max(2.7, 0.52 * len(names))
    figure = new_figure(max(5.0, side * across + 0.9), (side + 0.35) * down + 0.6)
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for place, panel in enumerate(panels.flat):
        if place >= len(confusions):
            panel.set_visible(False)
            continue
        model, counts = list(confusions.items())[place]
        _confusion(panel, np.array(counts), names)
        panel.set_title(figure_name(model, LONGEST_TITLE), fontsize=10)
        panel.tick_params(labelbottom=place + across >= len(confusions), labelsize=8)
        if place + across >= len(confusions):
            panel.set_xlabel("predicted grade", fontsize=9)
        if place % across == 0:
            panel.set_ylabel("true grade", fontsize=9)
    image = panels[0, 0].images[0]
    figure.colorbar(image, ax=panels, label="share of the true grade", shrink=0.8, pad=0.01)
    headline(figure, "Confusions on test: counts of images", marks)
    return Figure("confusions", png(figure), _confusion_alt(data, marks))


def _confusion(panel: Any, counts: np.ndarray, names: Sequence[str]) -> None:
    with np.errstate(invalid="ignore"):
        shares = counts / counts.sum(axis=1, keepdims=True)
    panel.imshow(shares, cmap=HEAT, vmin=0, vmax=1)
    size = 9 if counts.max() < 1000 else 8
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        _write(panel, column, row, str(count), share, size)
    panel.set_xticks(range(len(names)), names)
    panel.set_yticks(range(len(names)), names)
    if any(len(name) > 4 for name in names):
        panel.tick_params(axis="x", rotation=30)


def _confusion_alt(data: Mapping[str, Any], marks: Sequence[str]) -> str:
    shown = f"{', '.join(marks)}. " if marks else ""
    parts = []
    for model, rows in data["confusion"].items():
        counts = np.array(rows)
        steps = np.abs(np.subtract.outer(np.arange(len(counts)), np.arange(len(counts))))
        wrong, far = int(counts[steps > 0].sum()), int(counts[steps > 1].sum())
        parts.append(f"{model} {wrong} wrong, {far} of them by two grades or more")
    return f"{shown}Confusion matrices, one per model: {'; '.join(parts)}."
