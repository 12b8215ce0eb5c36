"""Reads the rows of a label CSV: its delimiters (comma, semicolon, tab) and encoding."""

from __future__ import annotations

import csv
from pathlib import Path

from dr_ovo.errors import UserError

DELIMITERS = ",;\t"


def read_rows(labels: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header, and (line number, cells) of each row that is not empty.

    Raises UserError for a file that can't be read as UTF-8 CSV, and for one without rows.
    """
    try:
        with labels.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max(DELIMITERS, key=first.count))
            rows = [(reader.line_num, row) for row in reader if any(map(_filled, row.values()))]
            header = list(reader.fieldnames or [])
    except UnicodeDecodeError as error:
        raise UserError(
            f"--labels {labels}: can't be read as CSV: its text is not UTF-8 (byte {error.start}). "
            "Save it as 'CSV UTF-8', or convert it: iconv -f LATIN1 -t UTF-8 (or -f UTF-16)."
        ) from None
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"--labels {labels}: can't be read as CSV ({error}).") from None
    if not rows:
        raise UserError(f"--labels {labels}: has no rows.")
    return header, rows


def _filled(cell: str | list[str] | None) -> bool:
    """Whether a cell is not empty; a list has the cells beyond the last column."""
    return any(map(_filled, cell)) if isinstance(cell, list) else bool(cell and cell.strip())
