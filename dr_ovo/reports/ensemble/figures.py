"""Figures of evaluate_super_ensemble.py: forest plot of members and ensembles, weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dr_ovo.document.document import Figure
from dr_ovo.document.figure_style import COLOURS, figure_name, headline, new_figure, png
from dr_ovo.ensembles.weights import is_fitted
from dr_ovo.reports.ensemble.study import MEAN_OF_FIGURES, Combined

# Panels of the forest plot: metric, title, factor.
PANELS = (
    ("accuracy", "accuracy, %", 100),
    ("quadratic_kappa", "quadratic weighted kappa", 1),
    ("macro_auc", "macro AUC", 1),
    ("class_1_recall", "class-1 recall, %", 100),
)
MEMBER, NEITHER, TOGETHER = COLOURS[0], COLOURS[7], COLOURS[5]


def figures_forest(
    rows: Mapping[str, Mapping[str, Any]], whole: str, marks: Sequence[str]
) -> Figure:
    """One row per model: four metrics with intervals; a band marks the ensemble's interval."""
    names = list(rows)[::-1]
    figure = new_figure(13, 1.4 + 0.34 * len(names))
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for panel, (metric, title, factor) in zip(panels, PANELS, strict=True):
        _draw(panel, names, rows, (metric, factor), whole)
        panel.set_xlabel(title)
    labels = [figure_name(name).replace(" (no ensemble)", "\n(no ensemble)") for name in names]
    panels[0].set_yticks(range(len(names)), labels)
    panels[0].set_ylim(-0.6, len(names) - 0.4)
    title = "Figures on test, 95 % intervals (members: circles; ensembles: diamonds)"
    headline(figure, title, marks)
    return Figure("ensemble_forest", png(figure), _forest_alt(rows, whole))


def _draw(
    panel: Any,
    names: list[str],
    rows: Mapping[str, Mapping[str, Any]],
    metric: tuple[str, int],
    whole: str,
) -> None:
    key, factor = metric
    band = rows[whole][key]
    if band.get("low") is not None:
        panel.axvspan(factor * band["low"], factor * band["high"], color=TOGETHER, alpha=0.12)
    for place, name in enumerate(names):
        estimate, (colour, marker) = rows[name][key], _style(name)
        if estimate["value"] is None:
            # At the left edge, as there is no value to place it at.
            panel.text(0.02, place, "unknown", transform=panel.get_yaxis_transform(),
                       va="center", fontsize=8, color="0.35")  # fmt: skip
            continue
        if estimate.get("low") is not None:
            ends = [factor * estimate["low"], factor * estimate["high"]]
            panel.plot(ends, [place, place], color=colour, linewidth=1.6)
        panel.plot(factor * estimate["value"], place, marker, color=colour, markersize=6)
    panel.grid(axis="x", color="0.9", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.locator_params(axis="x", nbins=5)
    panel.tick_params(axis="y", length=0)


def _style(name: str) -> tuple[str, str]:
    if name == MEAN_OF_FIGURES:
        return NEITHER, "x"
    together = name.startswith(("ensemble of", "baseline of", "smaller ensemble of"))
    return (TOGETHER, "D") if together else (MEMBER, "o")


def _forest_alt(rows: Mapping[str, Mapping[str, Any]], whole: str) -> str:
    known = {
        name: row["accuracy"]["value"]
        for name, row in rows.items()
        if row["accuracy"]["value"] is not None
    }
    parts = [f"{name} {100 * value:.1f} %" for name, value in known.items()]
    return f"Accuracy, kappa, macro AUC and class-1 recall on test. Accuracy: {', '.join(parts)}."


def weights_bars(whole: Combined, val: str, marks: Sequence[str]) -> Figure:
    """One bar per member: its weight, by `val` where it is fitted; dots: in the five folds."""
    assert whole.fitted is not None  # an ensemble has at least two members
    weights, folds = whole.fitted.weights, whole.fitted.fold_weights
    names = list(whole.names)
    figure = new_figure(7.5, 1.3 + 0.36 * len(names))
    panel = figure.subplots()
    places = np.arange(len(names))[::-1]
    panel.barh(places, weights, height=0.6, color=COLOURS[4], edgecolor="0.3", label="weight")
    if len(folds):
        fold_places = np.tile(places, (len(folds), 1))
        panel.plot(folds.ravel(), fold_places.ravel(), "o", color="black", markersize=3.5,
                   alpha=0.7, label="in each of the five folds")  # fmt: skip
        figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    top = max(float(weights.max()), float(folds.max()) if len(folds) else 0.0)
    for place, weight in zip(places, weights, strict=True):
        panel.text(1.12 * top, place, f"{weight:.3f}", va="center", ha="right", fontsize=9)
    panel.set_xlim(0, 1.14 * top)
    panel.set_yticks(places, list(map(figure_name, names)))
    how = f"fitted on {val}" if is_fitted(whole.fitted.method) else "equal for all"
    panel.set_xlabel(f"weight (sum 1), {how}")
    headline(figure, f"Weights of the members: {whole.fitted.method}", marks)
    shown = [f"{name} {weight:.3f}" for name, weight in zip(names, weights, strict=True)]
    return Figure("ensemble_weights", png(figure), f"Weights: {', '.join(shown)}.")
