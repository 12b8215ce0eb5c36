"""HTML of a report: contents, sections, sortable tables (row limit), embedded figures."""

from __future__ import annotations

import base64
import html
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dr_ovo.document.document import Cell, Column, Figure, Picture, Report, Section, Table
from dr_ovo.document.screen_and_files import reasons
from dr_ovo.tables import visible

NOT_NUMBERS = ("text", "yes")
LONG = 14  # characters above which a row's name may wrap
MAX_ROWS = 500  # most rows of a collapsed table


def escaped(text: object) -> str:
    """The text escaped for HTML; control characters, which a page would hide, become visible."""
    return html.escape(visible(text, lines=True))


def article(report: Report) -> str:
    """A report under its own heading."""
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
    """The sections, each with its anchor."""
    name = escaped(report.name)
    return [(section, f"{name}-{number}") for number, section in enumerate(report.sections, 1)]


def section_html(section: Section, anchor: str) -> str:
    """A section: its paragraphs, tables and figures."""
    parts = [f'<section id="{anchor}">', f"<h3>{escaped(section.title)}</h3>"]
    parts += [f"<p>{escaped(paragraph)}</p>" for paragraph in section.paragraphs]
    parts += [_collapsible(table) for table in section.tables]
    parts += [figure_html(figure) for figure in section.figures]
    return "\n".join([*parts, "</section>"])


def _collapsible(table: Table) -> str:
    """The table; collapsed until clicked where only some of its rows are meant to be shown."""
    rows = len(table.rows)
    if table.shown is None or rows <= table.shown:
        return table_html(table)
    summary = escaped(f"{table.title}: {rows:,} rows")
    cut = replace(table, rows=table.rows[:MAX_ROWS])
    if rows > MAX_ROWS:
        note = f"The first {MAX_ROWS} of {rows:,} rows; the report's own command writes all to "
        cut = replace(cut, note=f"{note}{table.name}.csv. {table.note}".strip())
    return f"<details>\n<summary>{summary}</summary>\n{table_html(cut)}\n</details>"


def table_html(table: Table) -> str:
    """A table with sortable columns; below it its note and the reasons for missing values.

    Each cell carries its raw value for sorting.
    """
    header = "".join(_header(column) for column in table.columns)
    rows = "\n".join(f"<tr>{_row(table.columns, row)}</tr>" for row in table.rows)
    notes = [
        f'<p class="note">{escaped(line)}</p>' for line in (table.note, *reasons(table)) if line
    ]
    return "\n".join(
        [
            '<div class="table">',
            f'<div class="scroll" role="group" aria-label="{escaped(table.title)}">',
            f"<table>\n<caption><span>{escaped(table.title)}</span></caption>",
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
        raw = escaped(_raw(column, cell))
        text = _picture(cell) if isinstance(cell, Picture) else escaped(column.text(cell))
        if number == 0:
            long = " long" if len(text) > LONG else ""
            cells.append(f'<th scope="row" class="{_kind(column)}{long}" data-value="{raw}">')
            cells.append(f"{text}</th>")
        else:
            kind = "picture" if isinstance(cell, Picture) else _kind(column)
            cells.append(f'<td class="{kind}" data-value="{raw}">{text}</td>')
    return "".join(cells)


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.jpeg).decode("ascii")
    return (
        f'<img src="data:image/jpeg;base64,{data}" width="{picture.width}" '
        f'height="{picture.height}" alt="{escaped(picture.alt)}">'
    )


def _raw(column: Column, cell: Cell) -> str:
    """The value that a cell is sorted by; empty where there is none."""
    value = cell["value"] if isinstance(cell, Mapping) else cell
    if value is None or isinstance(value, Picture):
        return ""
    return str(column.text(value) if _kind(column) == "text" else float(value))


def figure_html(figure: Figure) -> str:
    """A figure as embedded data, with its alternative text."""
    width, height = struct.unpack(">II", figure.png[16:24])  # from the PNG's IHDR
    data = base64.b64encode(figure.png).decode("ascii")
    return (
        f'<figure>\n<div class="scroll" role="group" aria-label="Figure: {escaped(figure.name)}">'
        f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
        f'alt="{escaped(figure.alt)}"></div>\n</figure>'
    )
