"""Tables and folded lines of plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

WIDTH = 100


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns two spaces apart: the first `left` to the left, the others (numbers) to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    rule = ["-" * width if name else "" for name, width in zip(header, widths, strict=True)]
    for row in (header, rule, *rows):
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def wrapped(text: str) -> str:
    """The text folded at 100 columns, further lines indented; paths and `0-1` stay whole."""
    folder = textwrap.TextWrapper(WIDTH, subsequent_indent="  ", break_long_words=False)
    folder.break_on_hyphens = False
    return folder.fill(text)
