"""A report's sections as HTML: paragraphs, tables that sort, pictures inside the page."""

from __future__ import annotations

import base64
import html
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dr_ovo.document.document import Cell, Column, Figure, Report, Section, Table
from dr_ovo.document.screen_and_files import reasons

NOT_NUMBERS = ("text", "yes")
LONG = 14  # letters from which a row's name may be folded
MAX_ROWS = 500  # rows of a table that is folded away


def escaped(text: object) -> str:
    """The text with everything that HTML would take for markup written out.

    Halves of characters, as names of files in another encoding hold them, become `?`.
    """
    return html.escape(str(text).encode("utf-8", "replace").decode())


def article(report: Report) -> str:
    """A report under a heading of its own."""
    parts = [section_html(section, anchor) for section, anchor in _anchored(report)]
    return (
        f'<article id="{escaped(report.name)}" aria-labelledby="{escaped(report.name)}-title">\n'
        f'<h2 id="{escaped(report.name)}-title">{escaped(report.title)}</h2>\n'
        + "\n".join(parts)
        + "\n</article>"
    )


def contents(reports: Sequence[Report]) -> str:
    """Links to all reports and to their sections."""
    return f"<ul>\n{''.join(_contents_of(report) for report in reports)}</ul>"


def _contents_of(report: Report) -> str:
    links = "".join(
        f'<li><a href="#{anchor}">{escaped(section.title)}</a></li>\n'
        for section, anchor in _anchored(report)
    )
    own = f'<a href="#{escaped(report.name)}">{escaped(report.title)}</a>'
    return f"<li>{own}\n<ul>\n{links}</ul></li>\n"


def _anchored(report: Report) -> list[tuple[Section, str]]:
    """The sections, each with what it is called in links."""
    name = escaped(report.name)
    return [(section, f"{name}-{number}") for number, section in enumerate(report.sections, 1)]


def section_html(section: Section, anchor: str) -> str:
    """A section: what it says, its tables, its pictures."""
    parts = [f'<section id="{anchor}">', f"<h3>{escaped(section.title)}</h3>"]
    parts += [f"<p>{escaped(paragraph)}</p>" for paragraph in section.paragraphs]
    parts += [_folded(held) for held in section.tables]
    parts += [figure_html(figure) for figure in section.figures]
    return "\n".join([*parts, "</section>"])


def _folded(held: Table) -> str:
    """The table; where only part of it is meant to be read, folded away, opened by a click."""
    rows = len(held.rows)
    if held.shown is None or rows <= held.shown:
        return table_html(held)
    summary = escaped(f"{held.title}: {rows:,} rows")
    cut = replace(held, rows=held.rows[:MAX_ROWS])
    if rows > MAX_ROWS:
        more = (
            f"The first {MAX_ROWS} of {rows:,} rows; {held.name}.csv of the report's own command "
        )
        cut = replace(cut, note=f"{more}holds them all. {held.note}".strip())
    return f"<details>\n<summary>{summary}</summary>\n{table_html(cut)}\n</details>"


def table_html(held: Table) -> str:
    """A table whose headers are buttons that sort it; below, its note and why values are missing.

    Each cell carries its raw value, by which it is sorted.
    """
    header = "".join(_header(column) for column in held.columns)
    rows = "\n".join(f"<tr>{_row(held.columns, row)}</tr>" for row in held.rows)
    notes = [f'<p class="note">{escaped(line)}</p>' for line in (held.note, *reasons(held)) if line]
    return "\n".join(
        [
            '<div class="table">',
            f'<div class="scroll" role="group" aria-label="{escaped(held.title)}">',
            f"<table>\n<caption><span>{escaped(held.title)}</span></caption>",
            f"<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>",
            *notes,
            "</div>",
        ]
    )


def _kind(column: Column) -> str:
    return "text" if column.format in NOT_NUMBERS else "number"


def _header(column: Column) -> str:
    return (
        f'<th scope="col" class="{_kind(column)}" aria-sort="none">'
        f'<button type="button">{escaped(column.title)}</button></th>'
    )


def _row(columns: Sequence[Column], row: Sequence[Cell]) -> str:
    cells = []
    for number, (column, cell) in enumerate(zip(columns, row, strict=True)):
        text, raw = escaped(column.text(cell)), escaped(_raw(column, cell))
        if number == 0:
            long = " long" if len(text) > LONG else ""
            cells.append(f'<th scope="row" class="{_kind(column)}{long}" data-value="{raw}">')
            cells.append(f"{text}</th>")
        else:
            cells.append(f'<td class="{_kind(column)}" data-value="{raw}">{text}</td>')
    return "".join(cells)


def _raw(column: Column, cell: Cell) -> str:
    """What a cell is sorted by; empty where there is no value."""
    value = cell["value"] if isinstance(cell, Mapping) else cell
    if value is None:
        return ""
    return str(column.text(value) if _kind(column) == "text" else float(value))


def figure_html(figure: Figure) -> str:
    """A picture as data inside the page, with the text that stands for it."""
    width, height = struct.unpack(">II", figure.png[16:24])  # from the PNG's IHDR
    data = base64.b64encode(figure.png).decode("ascii")
    return (
        f'<figure>\n<div class="scroll" role="group" aria-label="Picture: {escaped(figure.name)}">'
        f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
        f'alt="{escaped(figure.alt)}"></div>\n</figure>'
    )
