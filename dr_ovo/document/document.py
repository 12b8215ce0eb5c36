"""Building blocks of a report: Section, Table, Column, Figure.

A table contains values, not text: numbers, names, and metrics as {"value", "low", "high"} or
{"value": None, "reason"}. Printed text, CSV and page are all made from the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dr_ovo.tables import decimal, magnitude, percent, visible


@dataclass(frozen=True)
class Picture:
    """A small JPEG in a table, with its sides in pixels and its alternative text."""

    jpeg: bytes
    width: int
    height: int
    alt: str

    def __str__(self) -> str:
        return self.alt


Metric = Mapping[str, Any]
Cell = str | int | float | bool | Metric | Picture | None


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


# Format of a column -> how its cells are written; percentages are stored as fractions.
FORMATS: dict[str, Callable[[Any], str]] = {
    "text": lambda value: "-" if value is None else visible(value),
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
    """A column: its key in CSV and JSON, its title for people, and the format of its cells."""

    key: str
    title: str
    format: str = "text"

    def text(self, cell: Cell) -> str:
        """The cell as shown to people; an interval follows its value in brackets."""
        write = FORMATS[self.format]
        if not isinstance(cell, Mapping):
            return write(cell)
        shown = write(cell["value"])
        if cell["value"] is None or cell.get("low") is None:
            return shown
        return f"{shown} ({write(cell['low'])} to {write(cell['high'])})"


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns. `name` names its CSV file, `title` says what it shows.

    Only the first `shown` rows are printed (None: all); the CSV contains all of them.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    shown: int | None = None


@dataclass(frozen=True)
class Figure:
    """A figure as PNG, with its alternative text."""

    name: str
    png: bytes
    alt: str


@dataclass(frozen=True)
class Section:
    """A part of a report: paragraphs, tables and figures."""

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
