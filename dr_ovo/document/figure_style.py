"""Style shared by all figures: colours, markers, colour maps, resolution, title.

Figures are drawn by matplotlib's Agg, which needs no display.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

# Okabe and Ito's eight, distinguishable with any colour vision; the last is for context.
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C7A00", "#555555",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HEAT, DIVERGING = "cividis", "RdBu_r"  # perceptually uniform; symmetric around a midpoint
DPI = 110


def new_figure(width: float, height: float) -> Any:
    """An empty figure of this size in inches, with a layout that avoids overlaps."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def headline(figure: Any, title: str, marks: Sequence[str]) -> None:
    """Writes a title over the whole figure, preceded by its marks (SYNTHETIC, ...)."""
    marked = f"{', '.join(marks)}: {title}" if marks else title
    figure.suptitle(marked, fontsize=12, fontweight="bold" if marks else "normal")


def png(figure: Any) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
