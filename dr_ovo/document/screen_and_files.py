"""A report on the screen, and in files: JSON, a CSV for each table, a PNG for each figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dr_ovo.document.document import Report, Section, Table
from dr_ovo.errors import UserError
from dr_ovo.files import atomic_write_bytes, atomic_write_text, write_json
from dr_ovo.tables import RESEARCH_USE, table, wrapped

MARKS = {
    "SYNTHETIC": "SYNTHETIC: drawn pictures; these figures say nothing about patients.",
    "SIMULATED": "SIMULATED: drawn numbers, no pictures; these figures say nothing about patients.",
    "LEAKY": "LEAKY: the dataset's splits share pictures or patients; these figures are too good.",
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
    for held in section.tables:
        yield table_text(held)


def table_text(held: Table) -> str:
    """A table in columns, its title above and, below, its note and why values are missing."""
    if held.shown == 0:
        return wrapped(f"{held.title}: {len(held.rows)} rows in {held.name}.csv")
    rows = [
        [column.text(cell) for column, cell in zip(held.columns, row, strict=True)]
        for row in held.rows[: held.shown]
    ]
    numeric = [column.format not in ("text", "yes") for column in held.columns]
    left = numeric.index(True) if True in numeric else len(numeric)
    lines = [held.title, table([column.title for column in held.columns], rows, left)]
    if len(rows) < len(held.rows):
        lines.append(f"{len(held.rows) - len(rows)} more rows in {held.name}.csv")
    return "\n".join([*lines, *(wrapped(line) for line in (held.note, *reasons(held)) if line)])


def reasons(held: Table) -> list[str]:
    """Why cells of a table have no value or no interval: `model, metric: reason`."""
    found = []
    for row in held.rows:
        for column, cell in zip(held.columns, row, strict=True):
            if isinstance(cell, Mapping) and cell.get("reason"):
                found.append(f"{row[0]}, {column.title}: {cell['reason']}")
    return list(dict.fromkeys(found))


def table_csv(held: Table, marks: Sequence[str] = ()) -> str:
    """A table as CSV, unrounded; a column that holds intervals becomes three. The marks of its
    report, where there are any, stand in a last column."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spread = [any(isinstance(row[i], Mapping) for row in held.rows) for i in _places(held)]
    header: list[str] = []
    for column, wide in zip(held.columns, spread, strict=True):
        header += [column.key, f"{column.key}_low", f"{column.key}_high"] if wide else [column.key]
    marked = ["marks"] if marks else []
    writer.writerow(header + marked)
    for row in held.rows:
        cells: list[object] = []
        for cell, wide in zip(row, spread, strict=True):
            held_cell = cell if isinstance(cell, Mapping) else {"value": cell}
            cells += [held_cell.get(key) for key in ("value", "low", "high")[: 3 if wide else 1]]
        cells += [" ".join(marks)] if marks else []
        writer.writerow(["" if cell is None else cell for cell in cells])
    return text.getvalue()


def _places(held: Table) -> range:
    return range(len(held.columns))


def check_output(output: Path) -> None:
    """Raises UserError, before anything is computed, where `output` can't be a folder."""
    place = output
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise UserError(f"--output {output}: {place} is a file; give the name of a folder.")


def write_report(report: Report, output: Path) -> list[Path]:
    """Writes the report into the folder `output`, made where it is missing; the files written."""
    output.mkdir(parents=True, exist_ok=True)
    written = [output / f"{report.name}.json"]
    marked = {"marks": list(report.marks), "notice": RESEARCH_USE, **report.data}
    write_json(written[0], marked)
    for section in report.sections:
        for held in section.tables:
            written.append(output / f"{held.name}.csv")
            atomic_write_text(written[-1], table_csv(held, report.marks))
        for figure in section.figures:
            written.append(output / f"{figure.name}.png")
            atomic_write_bytes(written[-1], figure.png)
    return written


def written_line(written: Sequence[Path]) -> str:
    """One line that names what was written."""
    names = ", ".join(path.name for path in written)
    return wrapped(f"Written to {written[0].parent}: {names}")
