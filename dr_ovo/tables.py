"""Plain text: tables, wrapped lines, escaped control characters, the digits of numbers.

Files hold fractions; only `percent` turns a fraction into a percentage.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

WIDTH = 100
RESEARCH_USE = "Research use only; not a medical device."

# Characters that move the cursor, change the order of the text or end a line, and halves of
# characters, as in file names of another encoding.
_INVISIBLE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_IN_LINES, _IN_NAMES = re.compile(f"[{_INVISIBLE}]"), re.compile(f"[\t\n{_INVISIBLE}]")


def visible(text: object, *, lines: bool = False) -> str:
    """The text with control characters written as escapes, such as `\\x1b` and `\\n`.

    `lines`: the text has lines and tabs of its own, which stay. A name has none.
    """
    pattern = _IN_LINES if lines else _IN_NAMES
    return pattern.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def say(*texts: object, sep: str = "\n") -> None:
    """Prints texts of one or more lines, control characters escaped."""
    print(*(visible(text, lines=True) for text in texts), sep=sep)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns two spaces apart: the first `left` aligned left, the others (numbers) right."""
    rows = [[visible(cell) for cell in row] for row in rows]
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
    """The text wrapped at 100 columns, continuation lines indented; paths and `0-1` stay whole."""
    wrapper = textwrap.TextWrapper(WIDTH, subsequent_indent="  ", break_long_words=False)
    wrapper.break_on_hyphens = False
    return wrapper.fill(text)


def percent(fraction: float | None, unit: str = " %", sign: str = "", unknown: str = "-") -> str:
    """A fraction in [-1, 1] as a percentage such as `58.3 %`; `sign="+"` for differences.

    Raises ValueError for anything else, such as a percentage passed as a fraction.
    """
    if fraction is None:
        return unknown
    if not -1 <= fraction <= 1:
        raise ValueError(f"{fraction} is not a fraction between -1 and 1")
    return f"{100 * fraction:{sign}.1f}{unit}"


def decimal(value: float | None, unknown: str = "-") -> str:
    """A kappa, an AUC or a score with three decimals."""
    return unknown if value is None else f"{value:.3f}"


def magnitude(count: float | None, unit: str = "", unknown: str = "-") -> str:
    """A count in powers of 1000, such as `26.7 M` (or `107.1 MB` with unit B)."""
    if count is None:
        return unknown
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= scale:
            return f"{count / scale:.1f} {letter}{unit}"
    return f"{count:.0f} {unit}".rstrip()
