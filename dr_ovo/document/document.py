"""What a report consists of, apart from how it is shown: sections of paragraphs, tables, figures.

A table holds values, not text: numbers, names, and metrics as {"value", "low", "high"} or
{"value": None, "reason"}. The screen, the CSV and the page are made from the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dr_ovo.tables import decimal, magnitude, percent

Metric = Mapping[str, Any]
Cell = str | int | float | bool | Metric | None


def signed_percent(value: float | None) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return percent(value, unit="", sign="+")


def signed_decimal(value: float | None) -> str:
    """A difference of kappas, AUCs or scores, with its sign."""
    return "-" if value is None else f"{value:+.3f}"


def p_value(value: float | None) -> str:
    """A p value with three decimals, `<.001` below."""
    if value is None:
        return "-"
    return "<.001" if value < 0.001 else f"{value:.3f}"


def minutes(seconds: float | None) -> str:
    """A duration, such as `3 h 20 min`."""
    if seconds is None:
        return "-"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min" if rest else f"{seconds:.0f} s"


# How a column's numbers are written. Everything in it is a fraction, count or plain number.
FORMATS: dict[str, Callable[[Any], str]] = {
    "text": lambda value: "-" if value is None else str(value),
    "yes": lambda value: "-" if value is None else "yes" if value else "no",
    "count": lambda value: "-" if value is None else f"{value:,}",
    "percent": lambda value: percent(value, unit=""),
    "decimal": decimal,
    "signed_percent": signed_percent,
    "signed_decimal": signed_decimal,
    "p": p_value,
    "magnitude": magnitude,
    "bytes": lambda value: magnitude(value, "B"),
    "minutes": minutes,
}


@dataclass(frozen=True)
class Column:
    """A column: its key in CSV and JSON, the title that is read, and the format of its cells."""

    key: str
    title: str
    format: str = "text"

    def text(self, cell: Cell) -> str:
        """The cell as it is read; an interval stands in brackets behind its value."""
        write = FORMATS[self.format]
        if not isinstance(cell, Mapping):
            return write(cell)
        shown = write(cell["value"])
        if cell["value"] is None or cell.get("low") is None:
            return shown
        return f"{shown} ({write(cell['low'])} to {write(cell['high'])})"


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns. `name` is its file's, `title` says what it shows.

    `shown` rows are enough to read (None: all of them); the CSV holds them all.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    shown: int | None = None


@dataclass(frozen=True)
class Figure:
    """A picture as PNG, with the text that stands for it where it can't be seen."""

    name: str
    png: bytes
    alt: str


@dataclass(frozen=True)
class Section:
    """A part of a report: what it says in words, its tables and its pictures."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Report:
    """A command's report. `data` is its JSON; `marks` are SYNTHETIC, SIMULATED, LEAKY."""

    name: str
    title: str
    data: Mapping[str, Any]
    sections: Sequence[Section]
    marks: Sequence[str] = field(default=())
