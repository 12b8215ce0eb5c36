"""A report as printed text, JSON, CSV and PNG; wording of the SYNTHETIC and LEAKY warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dr_ovo.csv_text import csv_text
from dr_ovo.document.document import Report, Section, Table
from dr_ovo.files import atomic_write_bytes, atomic_write_text, write_json
from dr_ovo.tables import RESEARCH_USE, wrapped
from dr_ovo.tables import table as aligned_table

MODEL = "model"  # key of the column that names the model of a row
MARKS = {
    "SYNTHETIC": "SYNTHETIC: drawn images; these figures say nothing about patients.",
    "SIMULATED": "SIMULATED: random numbers, no images; these figures say nothing about patients.",
    "LEAKY": "LEAKY: the dataset's splits share images or patients; these figures are too good.",
}


def report_text(report: Report) -> str:
    """The report as it is printed."""
    parts = [report.title, *(wrapped(MARKS[mark]) for mark in report.marks)]
    for section in report.sections:
        parts += _section_lines(section)
    return "\n\n".join([*parts, RESEARCH_USE])


def _section_lines(section: Section) -> Iterator[str]:
    yield f"== {section.title}"
    yield from (wrapped(paragraph) for paragraph in section.paragraphs)
    for table in section.tables:
        yield table_text(table)


def table_text(table: Table) -> str:
    """A table in columns: title above, note and reasons for missing values below."""
    if table.shown == 0:
        return wrapped(f"{table.title}: {len(table.rows)} rows in {table.name}.csv")
    rows = [
        [column.text(cell) for column, cell in zip(table.columns, row, strict=True)]
        for row in table.rows[: table.shown]
    ]
    numeric = [column.format not in ("text", "yes") for column in table.columns]
    left = numeric.index(True) if True in numeric else len(numeric)
    lines = [table.title, aligned_table([column.title for column in table.columns], rows, left)]
    if len(rows) < len(table.rows):
        lines.append(f"{len(table.rows) - len(rows)} more rows in {table.name}.csv")
    return "\n".join([*lines, *(wrapped(line) for line in (table.note, *reasons(table)) if line)])


def reasons(table: Table) -> list[str]:
    """Why cells of a table have no value or no interval: `model, metric: reason`.

    Where the model is not the first column it follows it: `grade, model, metric: reason`.
    """
    heads = [
        place for place, column in enumerate(table.columns) if place == 0 or column.key == MODEL
    ]
    found = []
    for row in table.rows:
        for column, cell in zip(table.columns, row, strict=True):
            if isinstance(cell, Mapping) and cell.get("reason"):
                subject = ", ".join(str(row[place]) for place in heads)
                found.append(f"{subject}, {column.title}: {cell['reason']}")
    return list(dict.fromkeys(found))


def table_csv(table: Table, marks: Sequence[str] = ()) -> str:
    """A table as CSV, unrounded; a column with intervals becomes three.

    The report's marks, where there are any, are the last column.
    """
    has_interval = [
        any(isinstance(row[i], Mapping) for row in table.rows) for i in _column_range(table)
    ]
    header: list[str] = []
    for column, wide in zip(table.columns, has_interval, strict=True):
        header += [column.key, f"{column.key}_low", f"{column.key}_high"] if wide else [column.key]
    marked = ["marks"] if marks else []
    rows = []
    for row in table.rows:
        cells: list[object] = []
        for cell, wide in zip(row, has_interval, strict=True):
            metric = cell if isinstance(cell, Mapping) else {"value": cell}
            cells += [metric.get(key) for key in ("value", "low", "high")[: 3 if wide else 1]]
        cells += [" ".join(marks)] if marks else []
        rows.append(cells)
    return csv_text(header + marked, rows)


def _column_range(table: Table) -> range:
    return range(len(table.columns))


def write_report(report: Report, output: Path) -> list[Path]:
    """Writes the report into the folder `output`, created where missing; returns the files."""
    output.mkdir(parents=True, exist_ok=True)
    written = [output / f"{report.name}.json"]
    marked = {"marks": list(report.marks), "notice": RESEARCH_USE, **report.data}
    write_json(written[0], marked)
    for section in report.sections:
        for table in section.tables:
            written.append(output / f"{table.name}.csv")
            atomic_write_text(written[-1], table_csv(table, report.marks))
        for figure in section.figures:
            written.append(output / f"{figure.name}.png")
            atomic_write_bytes(written[-1], figure.png)
    return written


def written_line(written: Sequence[Path]) -> str:
    """A line that lists the files written."""
    names = ", ".join(path.name for path in written)
    return wrapped(f"Written to {written[0].parent}: {names}")
