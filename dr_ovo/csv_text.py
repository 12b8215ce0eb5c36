"""Rows as CSV that a spreadsheet opens without running any name in it as a formula."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# A spreadsheet runs a cell that begins so. Quotation marks do not prevent it; an apostrophe does.
# The apostrophes are those of names that had some already, so that `unguarded` gives those back.
_RUN = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)|[+-]")


def csv_text(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """The rows under their header; None becomes an empty cell, numbers stay numbers."""
    return "".join(map(csv_line, (header, *rows)))


def csv_line(cells: Sequence[object]) -> str:
    """A row with its line end; None becomes an empty cell, numbers stay numbers."""
    return ",".join(map(_cell, cells)) + "\n"


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    if not isinstance(value, bool | int | float):
        text = guarded(text)
    # csv.writer with these line ends leaves a bare \r unquoted, which is then read as a line end.
    quoted = any(character in text for character in ',"\r\n')
    return '"' + text.replace('"', '""') + '"' if quoted else text


def guarded(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet would run it; not so numbers."""
    return f"'{text}" if _RUN.match(text) and not _NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """The text that `guarded` was given."""
    return text[1:] if text.startswith("'") and _RUN.match(text) else text
