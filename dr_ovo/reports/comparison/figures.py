"""Figures of compare_models.py: the forest plot and the reliability diagrams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dr_ovo.decoding.tempering import temper
from dr_ovo.document.document import Figure
from dr_ovo.document.figure_style import COLOURS, figure_name, headline, new_figure, png
from dr_ovo.predictions.metrics import ECE_BINS
from dr_ovo.results.model_results import ModelResults

PANELS = {
    "accuracy": "accuracy (%)",
    "quadratic_kappa": "quadratic weighted kappa",
    "macro_auc": "macro AUC",
}
MIN_SHARE = 0.01  # of the images: bins with fewer are noise and are not drawn
ACROSS = 4  # reliability diagrams side by side
# Kind, label, colour, marker, line style.
KINDS = (
    ("raw", "raw", COLOURS[1], "s", "--"),
    ("tempered", "tempered", COLOURS[0], "o", "-"),
)


def forest_figure(data: Mapping[str, Any], marks: Sequence[str]) -> Figure:
    """Accuracy, kappa and macro AUC with their intervals, one line per model, reference marked."""
    rows = data["models"]
    figure = new_figure(11.0, 1.9 + 0.42 * len(rows))
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for panel, (key, label) in zip(panels, PANELS.items(), strict=True):
        _forest(panel, [row[key] for row in rows], 100 if key == "accuracy" else 1)
        panel.set_xlabel(label)
    names = [figure_name(row["name"]) for row in rows]
    if len(rows) > 1:
        names[0] += "\n(reference)"
    panels[0].set_yticks(range(len(rows)), names)
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    title = f"Test results with 95 % intervals ({data['n']} images, {data['n_patients']} patients)"
    headline(figure, title, marks)
    return Figure("forest", png(figure), _forest_alt(data, marks))


def _forest(panel: Any, metrics: Sequence[Mapping[str, Any]], scale: float) -> None:
    reference = metrics[0]
    if reference.get("low") is not None and len(metrics) > 1:
        panel.axvspan(scale * reference["low"], scale * reference["high"], color="0.92", zorder=0)
    for place, metric in enumerate(metrics):
        if metric["value"] is None:
            panel.annotate("not defined", (0.5, place), xycoords=("axes fraction", "data"),
                           ha="center", va="center", fontsize=9, color="0.35")  # fmt: skip
            continue
        first = place == 0 and len(metrics) > 1
        if metric.get("low") is not None:
            ends = [scale * metric["low"], scale * metric["high"]]
            panel.plot(ends, [place, place], color="0.2", linewidth=1.6, solid_capstyle="butt")
        panel.plot(
            scale * metric["value"],
            place,
            marker="D" if first else "o",
            markersize=8 if first else 6.5,
            color=COLOURS[5] if first else COLOURS[0],
            linestyle="none",
        )
    panel.grid(axis="x", color="0.88", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.locator_params(axis="x", nbins=5)
    panel.tick_params(labelsize=9)
    panel.margins(x=0.08)


def _forest_alt(data: Mapping[str, Any], marks: Sequence[str]) -> str:
    parts = []
    for row in data["models"]:
        kappa = row["quadratic_kappa"]
        interval = f" ({kappa['low']:.3f} to {kappa['high']:.3f})" if kappa.get("low") else ""
        value = "not defined" if kappa["value"] is None else f"{kappa['value']:.3f}{interval}"
        parts.append(f"{row['name']} {value}")
    shown = f"{', '.join(marks)}. " if marks else ""
    words = "".join(f" {difference['words']}" for difference in data["differences"])
    return (
        f"{shown}Forest plot of accuracy, kappa and macro AUC on test; kappa of "
        f"{', '.join(parts)}.{words}"
    )


def reliability_figure(
    models: Sequence[ModelResults], data: Mapping[str, Any], marks: Sequence[str]
) -> Figure:
    """One panel per model: the share correct in each confidence bin, raw and tempered."""
    across = min(ACROSS, len(models))
    down = math.ceil(len(models) / across)
    figure = new_figure(max(5.0, 2.75 * across), 3.05 * down + 0.9)
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for place, panel in enumerate(panels.flat):
        if place >= len(models):
            panel.set_visible(False)
            continue
        _reliability(panel, models[place], data["models"][place]["calibration"])
        panel.tick_params(labelbottom=place + across >= len(models))
        if place + across >= len(models):
            panel.set_xlabel("confidence", fontsize=9)
        if place % across == 0:
            panel.set_ylabel("share correct", fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    columns = 4 if across > 1 else 2  # in one row the legend is wider than a single panel
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9)
    title = "Reliability on test (confidence bins with at least 1 % of the images)"
    headline(figure, title if len(models) > 2 else "Reliability on test", marks)
    return Figure("reliability", png(figure), _reliability_alt(data, marks))


def _reliability(panel: Any, model: ModelResults, errors: Mapping[str, Any]) -> None:
    p = model.test
    tempered = temper(p.probabilities, model.calibration.temperature)
    panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.9, linestyle=":", label="perfect")
    for (kind, label, colour, marker, style), probabilities in zip(
        KINDS, (p.probabilities, tempered), strict=True
    ):
        confidence, correct, share = reliability_bins(p.targets, probabilities)
        drawn = share >= MIN_SHARE
        if kind == "tempered":
            middles = (np.arange(ECE_BINS) + 0.5) / ECE_BINS
            panel.bar(middles, share, width=1 / ECE_BINS, color="0.85", edgecolor="white",
                      label="share of images (tempered)", zorder=0)  # fmt: skip
        panel.plot(confidence[drawn], correct[drawn], color=colour, marker=marker, markersize=4,
                   linestyle=style, linewidth=1.2, label=label)  # fmt: skip
    raw, after = (errors[kind]["ece"]["value"] for kind in ("raw", "tempered"))
    # In the title: inside the panel a line could cross it.
    errors_text = f"ECE {100 * after:.1f} % (raw {100 * raw:.1f} %)"
    panel.set_title(f"{figure_name(model.name)}\n{errors_text}", fontsize=9)
    panel.set(xlim=(0, 1), ylim=(0, 1))
    panel.tick_params(labelsize=8)


def reliability_bins(
    targets: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(15,) mean confidence, share correct, share of images per bin; NaN in empty bins."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == targets
    bins = (np.ceil(confidence * ECE_BINS).astype(np.int64) - 1).clip(0, ECE_BINS - 1)
    counts, sums, hits = (
        np.bincount(bins, weights, ECE_BINS) for weights in (None, confidence, correct)
    )
    with np.errstate(invalid="ignore"):
        return sums / counts, hits / counts, counts / len(targets)


def _reliability_alt(data: Mapping[str, Any], marks: Sequence[str]) -> str:
    parts = []
    for row in data["models"]:
        after, raw = (row["calibration"][kind]["ece"]["value"] for kind in ("tempered", "raw"))
        parts.append(f"{row['name']} {100 * after:.1f} % (raw {100 * raw:.1f} %)")
    shown = f"{', '.join(marks)}. " if marks else ""
    return (
        f"{shown}Reliability diagrams, one panel per model; expected calibration error after "
        f"tempering: {', '.join(parts)}."
    )
