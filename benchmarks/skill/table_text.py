"""Figures and tables of the page of results, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.skill.analysis import PERCENT, figures
from benchmarks.skill.saved import Saved
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.intervals import Estimate

HEADINGS = (
    *("kappa", "accuracy", "balanced accuracy", "macro AUC"),
    *("referable sensitivity", "referable specificity"),
)
FEWER = HEADINGS[:4]  # of tables with many rows
Arms = Mapping[str, Mapping[int, Saved]]  # runs by arm and seed


def cells(seeds: Sequence[Predictions], names: Sequence[str]) -> list[str]:
    """Figures of runs, means over them."""
    found = figures(seeds)
    return [shown(found[name], percent=name in PERCENT) for name in names]


def shown(estimate: Estimate, *, percent: bool) -> str:
    """A figure with its interval."""
    if estimate.value is None:
        return "-"
    factor, digits, unit = (100, 1, " %") if percent else (1, 3, "")
    value = f"{factor * estimate.value:.{digits}f}{unit}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({factor * estimate.low:.{digits}f} - {factor * estimate.high:.{digits}f})"


def signed(estimate: Estimate) -> str:
    """A difference with its interval."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text under their headings."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
