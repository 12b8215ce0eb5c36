"""Text and tables as Markdown, in which no name means anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dr_ovo.document.document import Table
from dr_ovo.document.screen_and_files import reasons
from dr_ovo.tables import visible

ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# An underscore inside a word, as in names of architectures, means nothing.
_SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")
# What begins a list, a heading, a rule or front matter, where it begins a line.
_AT_THE_START = re.compile(r"^(\s*)(?:([-+=#])|(\d+)([.)])(?=\s|$))")
NUMBERS = ("text", "yes")


def escaped(text: object) -> str:
    """A line of text, which Markdown shows as it is; control characters become visible."""
    return _AT_THE_START.sub(_escaped_start, inline(text))


def _escaped_start(found: re.Match[str]) -> str:
    space, mark, count, point = found.groups()
    return f"{space}\\{mark}" if mark else f"{space}{count}\\{point}"


def inline(text: object) -> str:
    """The same of text inside a line, such as the cell of a table."""
    plain = visible(text)
    for character, entity in ENTITIES.items():
        plain = plain.replace(character, entity)
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", plain)


def table_markdown(table: Table) -> str:
    """A table under its title, with its note and the reasons for missing values; folded away where
    none of its rows is meant to be seen at first."""
    rows = [
        [column.text(cell) for column, cell in zip(table.columns, row, strict=True)]
        for row in table.rows
    ]
    right = [column.format not in NUMBERS for column in table.columns]
    lines = [
        _row([column.title for column in table.columns]),
        _rule(right),
        *map(_row, rows),
    ]
    body = "\n".join(lines)
    if table.shown == 0:
        body = f"<details>\n<summary>{escaped(table.title)}</summary>\n\n{body}\n\n</details>"
    else:
        body = f"**{escaped(table.title)}**\n\n{body}"
    return "\n\n".join([body, *_notes(table)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(inline, cells))} |"


def _rule(right: Sequence[bool]) -> str:
    return f"| {' | '.join('---:' if numeric else ':---' for numeric in right)} |"


def _notes(table: Table) -> Iterator[str]:
    for line in (table.note, *reasons(table)):
        if line:
            yield escaped(line)
