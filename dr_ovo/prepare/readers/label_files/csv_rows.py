"""The table in a label file: its header line, or none, and its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.dataset.words import grade_of, number_of
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.label_files.label_text import read_text
from dr_ovo.prepare.readers.label_files.line_cutting import (
    SEARCHED,
    Line,
    Recognised,
    cut_lines,
)


@dataclass(frozen=True)
class LabelTable:
    """The columns of a label file, and its rows: number of the line, cells by position.

    A file without a header line has the columns "1", "2" ... (`headerless`).
    """

    labels: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    headerless: bool = False

    @property
    def titles(self) -> str:
        """The names of the columns, for people."""
        return ", ".join(filter(None, self.header))

    def column(self, position: int) -> list[str]:
        """The cells of the column at a position, (N,)."""
        return [cells[position] for _, cells in self.rows]


def read_table(labels: Path, recognised: Recognised) -> LabelTable:
    """The table in a label file.

    Raises UserError for a file that can't be read, has no rows, or has a row with more cells than
    columns.
    """
    is_header, is_image = recognised.is_header, recognised.is_image
    lines = cut_lines(labels, read_text(labels), recognised)
    widths = Counter(len(cells) for _, cells in lines)
    usual = widths.most_common(1)[0][0] if lines else 0
    if lines and max(widths) == 1:
        raise UserError(
            f"--labels {labels}: can't be read as CSV: its lines have one cell only. Expected a "
            "name and a grade, with a comma, semicolon, tab, | or blanks between them."
        )
    found = [at for at, (_, cells) in enumerate(lines[:SEARCHED]) if is_header(cells)]
    full = [at for at, (_, cells) in enumerate(lines) if len(cells) == usual]
    start = (found or full or [0])[0]
    headerless = not found and bool(lines) and _is_row(lines, start, recognised)
    if headerless:
        titles = [_filled(cells) < 2 and not any(map(is_image, cells)) for _, cells in lines]
        header = [str(number + 1) for number in range(max(widths))]
        rows = lines[start if all(titles[:start]) else 0 :]
    else:
        header, rows = (lines[start][1] if lines else []), lines[start + 1 :]
    if not rows:
        raise UserError(f"--labels {labels}: has no rows.")
    header = [header[0].lstrip("# "), *header[1:]]  # numpy.savetxt marks its header so
    return _fitted(labels, header, rows, headerless)


def _is_row(lines: Sequence[Line], start: int, recognised: Recognised) -> bool:
    """Whether the line at `start`, which is no header that is known, is a row of a list.

    It names a photograph. Where its own is missing, others name one, and it has a number, a grade,
    or a label that is repeated below it: the names of columns are not.
    """
    first = lines[start][1]
    is_image = recognised.is_image
    if any(recognised.names_column(cell) and not is_image(cell) for cell in first):
        return False
    if any(map(is_image, first)):
        return True
    below = [cells for _, cells in lines[start + 1 :]]
    if not any(is_image(cell) for cells in below for cell in cells):
        return False
    labels = [
        number_of(cell) is not None
        or grade_of(cell) is not None
        or any(at < len(cells) and cells[at] == cell for cells in below)
        for at, cell in enumerate(first)
        if cell
    ]
    return any(labels)


def _fitted(labels: Path, header: list[str], rows: list[Line], headerless: bool) -> LabelTable:
    """The rows with as many cells as the header, which is completed where R left a name out."""
    filled = {number: _filled(cells) for number, cells in rows}
    long = [number for number, width in filled.items() if width > len(header)]
    numbered = all(cells[0] == str(at + 1) for at, (_, cells) in enumerate(rows))
    if len(long) == len(rows) and numbered and set(filled.values()) == {len(header) + 1}:
        header, long = ["", *header], []  # write.table gives the row's number no name
    if long:
        raise UserError(
            f"{labels} line {long[0]}: has {filled[long[0]]} cells, and there are {len(header)} "
            f"columns (such lines: {len(long)}). Put text and numbers with a delimiter inside into "
            "quotation marks."
        )
    width = len(header)
    padded = ((number, (*cells, *[""] * width)[:width]) for number, cells in rows)
    return LabelTable(labels, tuple(header), tuple(padded), headerless)


def _filled(cells: Sequence[str]) -> int:
    """The number of cells up to the last that is not empty."""
    return max((at for at, cell in enumerate(cells, 1) if cell), default=0)
