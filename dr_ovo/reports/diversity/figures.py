"""Figures of analyze_ensemble_diversity.py: heat maps, shared errors, contributions."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dr_ovo.document.document import Figure
from dr_ovo.document.figure_style import (
    COLOURS,
    DIVERGING,
    HEAT,
    figure_name,
    headline,
    new_figure,
    png,
)
from dr_ovo.reports.diversity.sections import MEASURES

Data = Mapping[str, Any]
SIGNED = ("q", "correlation", "kappa")  # from -1 to 1


def heat_map(data: Data, measure: str, marks: Sequence[str]) -> Figure:
    """A measure of all pairs: one labelled cell per pair."""
    names = [figure_name(row["name"]) for row in data["models"]]
    title, form, meaning = MEASURES[measure]
    scale = 100 if form == "percent" else 1
    values = scale * pair_matrix(data, measure)
    low, high = (-1, 1) if measure in SIGNED else (0, max(1.0, np.nanmax(values, initial=0)))
    side = 1.5 + 0.68 * len(names)
    figure = new_figure(max(side + 0.8, 5.6), max(side, 3.2) + 0.7)
    panel = figure.subplots()
    image = panel.imshow(values[1:, :-1], cmap=DIVERGING if measure in SIGNED else HEAT,
                         vmin=low, vmax=high)  # fmt: skip
    for (row, column), value in np.ndenumerate(values[1:, :-1]):
        if column <= row:
            _write(panel, image, row, column, value, scale)
    panel.set_xticks(range(len(names) - 1), names[:-1], rotation=45, ha="right", fontsize=9)
    panel.set_yticks(range(len(names) - 1), names[1:], fontsize=9)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    panel.set_title(textwrap.fill(meaning, 48), fontsize=9)
    headline(figure, title + (" (%)" if scale == 100 else ""), marks)
    return Figure(f"diversity_{measure}", png(figure), _heat_alt(data, measure, marks))


def pair_matrix(data: Data, measure: str) -> np.ndarray:
    """(M, M) values below the diagonal; NaN elsewhere and where undefined."""
    indices = {row["name"]: index for index, row in enumerate(data["models"])}
    values = np.full((len(indices), len(indices)), np.nan)
    for pair in data["pairs"]:
        first, second = (indices[name] for name in pair["models"])
        if pair[measure]["value"] is not None:
            values[second, first] = pair[measure]["value"]
    return values


def _write(panel: Any, image: Any, row: int, column: int, value: float, scale: int) -> None:
    if np.isnan(value):
        panel.text(column, row, "not\ndefined", ha="center", va="center", fontsize=7, color="0.3")
        return
    text = f"{value:.1f}" if scale == 100 else f"{value:.2f}"
    colour = _text_colour(image.cmap(image.norm(value)))
    panel.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)


def _text_colour(background: Sequence[float]) -> str:
    """Black or white, whichever has more contrast to a colour (WCAG's relative luminance)."""
    luminance = np.dot(np.power(background[:3], 2.2), (0.2126, 0.7152, 0.0722))
    return "white" if luminance < 0.179 else "black"


def _heat_alt(data: Data, measure: str, marks: Sequence[str]) -> str:
    title, form, meaning = MEASURES[measure]
    scale, unit = (100, " %") if form == "percent" else (1, "")
    known = [pair for pair in data["pairs"] if pair[measure]["value"] is not None]
    start = f"{_marked(marks)}Heat map, {title} of each pair of models ({meaning}). "
    if not known:
        return f"{start}It is undefined for every pair."
    ordered = sorted(known, key=lambda pair: pair[measure]["value"])
    ends = [
        f"{' and '.join(pair['models'])} at {scale * pair[measure]['value']:.3g}{unit}"
        for pair in (ordered[0], ordered[-1])
    ]
    return start + f"From {ends[0]} to {ends[1]}." if len(known) > 1 else f"{start}{ends[0]}."


def _marked(marks: Sequence[str]) -> str:
    return f"{', '.join(marks)}. " if marks else ""


def overlap_figure(data: Data, marks: Sequence[str]) -> Figure:
    """One bar per grade: the shares of its images that 0, 1, ... all models miss."""
    grades = [grade for grade in data["grades"] if grade["n"]]
    models = len(data["models"])
    figure = new_figure(9.0, 1.9 + 0.55 * len(grades))
    panel = figure.subplots()
    shades = _shades(models + 1)
    starts = np.zeros(len(grades))
    for wrong in range(models + 1):
        widths = np.array([100 * g["images_by_models_wrong"][wrong] / g["n"] for g in grades])
        label = "none" if wrong == 0 else f"all {models}" if wrong == models else str(wrong)
        panel.barh(range(len(grades)), widths, left=starts, color=shades[wrong], edgecolor="white",
                   linewidth=0.8, label=label)  # fmt: skip
        for place, (start, width) in enumerate(zip(starts, widths, strict=True)):
            if width >= 4:
                panel.text(start + width / 2, place, f"{width:.0f}", ha="center", va="center",
                           fontsize=9, color=_text_colour(shades[wrong]))  # fmt: skip
        starts = starts + widths
    names = [f"{figure_name(grade['class_name'])}\n(n = {grade['n']:,})" for grade in grades]
    panel.set_yticks(range(len(grades)), names, fontsize=9)
    panel.invert_yaxis()
    panel.set(xlim=(0, 100), xlabel="share of the grade's images (%)")
    panel.spines[["top", "right"]].set_visible(False)
    figure.legend(title="models that miss an image", loc="outside lower center", fontsize=9,
                  ncols=models + 1, title_fontsize=9)  # fmt: skip
    headline(figure, "Shared errors, by grade", marks)
    return Figure("diversity_overlap", png(figure), _overlap_alt(grades, marks))


def _shades(count: int) -> list[tuple[float, ...]]:
    from matplotlib import colormaps

    return [tuple(colormaps[HEAT](1 - step / (count - 1))) for step in range(count)]


def _overlap_alt(grades: Sequence[Data], marks: Sequence[str]) -> str:
    shares = [grade["images_by_models_wrong"][-1] / grade["n"] for grade in grades]
    parts = [
        f"grade {grade['class_name']} {100 * share:.1f} %"
        for grade, share in zip(grades, shares, strict=True)
    ]
    return (
        f"{_marked(marks)}Stacked bars, one per grade, of how many models miss an image; missed by "
        f"all: {', '.join(parts)}."
    )


def contribution_figure(data: Data, marks: Sequence[str]) -> Figure:
    """What each model adds to the ensemble on test, with intervals, in the order of val."""
    rows = data["contributions"]
    figure = new_figure(9.5, 1.9 + 0.42 * len(rows))
    panels = figure.subplots(1, 2, sharey=True)
    labels = ("accuracy", "accuracy added (points)", 100), ("quadratic_kappa", "kappa added", 1)
    for panel, (key, label, scale) in zip(panels, labels, strict=True):
        panel.axvline(0, color="0.45", linewidth=1, linestyle="--")
        for place, row in enumerate(rows):
            _contribution(panel, row[key], place, scale)
        panel.set_xlabel(label)
        panel.locator_params(axis="x", nbins=5)
        panel.grid(axis="x", color="0.9", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=9)
        panel.margins(x=0.1)
    panels[0].set_yticks(range(len(rows)), [figure_name(row["model"]) for row in rows])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    headline(figure, "What each model adds to the mean of all, on test, 95 % intervals", marks)
    return Figure("diversity_contributions", png(figure), _contribution_alt(rows, marks))


def _contribution(panel: Any, metric: Data, place: int, scale: int) -> None:
    if metric["value"] is None:
        panel.annotate("not defined", (0.5, place), xycoords=("axes fraction", "data"),
                       ha="center", va="center", fontsize=9, color="0.35")  # fmt: skip
        return
    no_zero = metric.get("low") is not None and (metric["low"] > 0 or metric["high"] < 0)
    if metric.get("low") is not None:
        ends = [scale * metric["low"], scale * metric["high"]]
        panel.plot(ends, [place, place], color="0.2", linewidth=1.6, solid_capstyle="butt")
    # Filled where the interval excludes 0, hollow where it doesn't.
    panel.plot(scale * metric["value"], place, marker="o", markersize=7, linestyle="none",
               color=COLOURS[0], markerfacecolor=COLOURS[0] if no_zero else "white")  # fmt: skip


def _contribution_alt(rows: Sequence[Data], marks: Sequence[str]) -> str:
    parts = []
    for row in rows:
        metric = row["quadratic_kappa"]
        value = "not defined" if metric["value"] is None else f"{metric['value']:+.3f}"
        if metric.get("low") is not None:
            value += f" ({metric['low']:+.3f} to {metric['high']:+.3f})"
        parts.append(f"{row['model']} {value}")
    return (
        f"{_marked(marks)}Forest plot of what each model adds to the ensemble on test, ordered by "
        f"val; kappa: {', '.join(parts)}."
    )
