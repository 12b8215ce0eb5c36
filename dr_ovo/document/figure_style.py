"""Style shared by all figures: colours, markers, colour maps, resolution, names, title.

Figures are drawn by matplotlib's Agg, which needs no display.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

from dr_ovo.tables import visible

# Okabe and Ito's eight, distinguishable with any colour vision; the last is for context.
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C7A00", "#555555",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HEAT, DIVERGING = "cividis", "RdBu_r"  # perceptually uniform; symmetric around a midpoint
DPI = 110
LONGEST_NAME = 45  # characters; longer ones lose their middle
# Fonts with Chinese, Japanese and Korean: they fill in where matplotlib's own has no glyph.
MORE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Microsoft YaHei", "PingFang SC",
    "Arial Unicode MS", "SimHei",
)  # fmt: skip


def new_figure(width: float, height: float) -> Any:
    """An empty figure of this size in inches, with a layout that avoids overlaps.

    Text is drawn as it is written: a `$` in a name starts no formula.
    """
    from matplotlib import font_manager, rcParams
    from matplotlib.figure import Figure

    installed = {font.name for font in font_manager.fontManager.ttflist}
    rcParams["text.parse_math"] = False
    rcParams["font.family"] = ["DejaVu Sans", *(name for name in MORE_FONTS if name in installed)]
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def figure_name(name: object, longest: int = LONGEST_NAME) -> str:
    """A name from outside (of a model, class or folder) as it is written into a figure."""
    text = visible(name)
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}\u2026{text[-half:]}"


def headline(figure: Any, title: str, marks: Sequence[str]) -> None:
    """Writes a title over the whole figure, preceded by its marks (SYNTHETIC, ...)."""
    marked = f"{', '.join(marks)}: {title}" if marks else title
    figure.suptitle(marked, fontsize=12, fontweight="bold" if marks else "normal")


def png(figure: Any) -> bytes:
    """The figure as PNG; a letter that no installed font has is drawn as a box."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(?s)(Glyph|Matplotlib currently does not support)")
        figure.savefig(buffer, format="png")
    return buffer.getvalue()
