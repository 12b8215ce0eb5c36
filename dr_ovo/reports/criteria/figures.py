"""The figure of medical_validation.py: the distance of each interval from its limit."""

from __future__ import annotations

from collections.abc import Sequence

from dr_ovo.document.document import Figure
from dr_ovo.document.figure_style import COLOURS, figure_name, headline, new_figure, png
from dr_ovo.reports.criteria.criteria import (
    DIRECTIONS,
    MET,
    NOT_MET,
    UNDECIDED,
    Judgement,
)

STYLES = {MET: (COLOURS[2], "o"), UNDECIDED: (COLOURS[1], "s"), NOT_MET: (COLOURS[5], "X")}
LONGEST_TEXT = 80  # characters of a criterion beside its interval
COUNTS = ("parameters", "families", "paradigms", "independent_images")


def criteria_figure(judgements: Sequence[Judgement], marks: Sequence[str]) -> list[Figure]:
    """Value and interval minus the limit, in points, oriented so that right is better.

    Counts (parameters, families) have no interval and are only in the table; no figure if nothing
    else is left.
    """
    shown = [one for one in judgements if one.verdict in STYLES and not _is_count(one)]
    if not shown:
        return []
    figure = new_figure(11, 1.6 + 0.32 * len(shown))
    panel = figure.subplots()
    for position, one in enumerate(reversed(shown)):
        factor = 100 if DIRECTIONS[one.criterion.direction].upward else -100
        colour, marker = STYLES[one.verdict]
        value, *ends = (
            None if end is None else factor * (end - one.criterion.limit)
            for end in (one.metric["value"], one.metric.get("low"), one.metric.get("high"))
        )
        if None not in ends:
            panel.plot(ends, [position, position], color=colour, linewidth=2)
        panel.plot(value, position, marker, color=colour, markersize=7)
    panel.axvline(0, color="black", linewidth=1)
    labels = [
        f"{figure_name(one.subject)}: {figure_name(one.criterion.text, LONGEST_TEXT)}"
        for one in reversed(shown)
    ]
    panel.set_yticks(range(len(shown)), labels, fontsize=8)
    panel.set_xlabel("distance from the limit, points (100 points of kappa or AUC are 1.000)")
    panel.grid(axis="x", color="0.9", linewidth=0.6)
    panel.set_axisbelow(True)
    for verdict, (colour, marker) in STYLES.items():
        if any(one.verdict == verdict for one in shown):
            panel.plot([], [], marker, color=colour, label=verdict, linestyle="-")
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    headline(figure, "Criteria, with 95 % intervals (right of the line: met)", marks)
    said = [f"{one.subject}, {one.criterion.text}: {one.verdict}" for one in shown]
    return [Figure("validation_criteria", png(figure), f"{'; '.join(said)}.")]


def _is_count(one: Judgement) -> bool:
    return one.criterion.metric in COUNTS
