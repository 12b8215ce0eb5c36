"""Reads the rows of a label file: delimiter, title lines, header line, or none of them."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.label_files.label_text import read_text

BLANKS = " "  # runs of blanks between the cells
# The first of those that cut the lines most evenly. Semicolons before commas: with decimal commas
# ("a.jpg;2,0") both cut every line.
DELIMITERS = "\t;|," + BLANKS
SEARCHED = 30  # lines at the beginning in which the header line is looked for
_SEPARATOR = re.compile(r'"?sep=(?P<delimiter>.)"?', re.IGNORECASE)
_EXCEL_TEXT = re.compile(r'="(?P<text>[^"]*)"')  # how Excel's users keep leading zeros
_TOKEN = re.compile(r'"[^"]*"|\S+')

Line = tuple[int, list[str]]  # its number in the file, its cells


@dataclass(frozen=True)
class LabelTable:
    """The columns of a label file, and its rows: number of the line, cells by position.

    A file without a header line has the columns "1", "2" ... (`headerless`).
    """

    labels: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    headerless: bool = False

    def column(self, position: int) -> list[str]:
        """The cells of the column at a position, (N,)."""
        return [cells[position] for _, cells in self.rows]


def read_table(
    labels: Path, is_header: Callable[[Sequence[str]], bool], is_image: Callable[[str], bool]
) -> LabelTable:
    """The table in a label file.

    `is_header` recognises the cells of a header line, `is_image` a cell that names a photograph; a
    file with the second in its first line and the first nowhere has no header line. Raises
    UserError for a file that can't be read, has no rows, or has a row with more cells than columns.
    """
    lines = _lines(labels, is_header, is_image)
    widths = Counter(len(cells) for _, cells in lines)
    usual = widths.most_common(1)[0][0] if lines else 0
    if lines and max(widths) == 1:
        raise UserError(
            f"--labels {labels}: can't be read as CSV: its lines have one cell only. Expected a "
            "name and a grade, with a comma, semicolon, tab, | or blanks between them."
        )
    found = [at for at, (_, cells) in enumerate(lines[:SEARCHED]) if is_header(cells)]
    headerless = not found and bool(lines) and any(map(is_image, lines[0][1]))
    if headerless:
        header, rows = [str(number + 1) for number in range(max(widths))], lines
    else:
        full = [at for at, (_, cells) in enumerate(lines) if len(cells) == usual]
        start = (found or full or [0])[0]
        header, rows = (lines[start][1] if lines else []), lines[start + 1 :]
    if not rows:
        raise UserError(f"--labels {labels}: has no rows.")
    header = [header[0].lstrip("# "), *header[1:]]  # numpy.savetxt marks its header so
    return _fitted(labels, header, rows, headerless)


def _lines(
    labels: Path, is_header: Callable[[Sequence[str]], bool], is_image: Callable[[str], bool]
) -> list[Line]:
    """The lines that are not empty, cut at the delimiter that cuts them most evenly."""
    text = read_text(labels)
    first, _, rest = text.partition("\n")
    if match := _SEPARATOR.match(first.strip("\ufeff \r")):
        return _cut(labels, rest, match["delimiter"], skipped=1)

    def fit(delimiter: str) -> tuple[float, bool]:
        lines = _cut(labels, text, delimiter, strict=False)
        counts = Counter(len(cells) for _, cells in lines if len(cells) > 1)
        evenness = max(counts.values(), default=0) / max(1, len(lines))
        return evenness, any(is_header(c) or any(map(is_image, c)) for _, c in lines[:SEARCHED])

    best = max(DELIMITERS, key=fit)
    lines = _cut(labels, text, best)
    if best == BLANKS and fit(best)[0] < 1 and not any(is_header(c) for _, c in lines[:SEARCHED]):
        # Names with blanks in them: the grade is what is behind the last one.
        cut = [(n, line.rsplit(maxsplit=1)) for n, line in enumerate(text.splitlines(), 1)]
        cut = [(number, cells) for number, cells in cut if cells]
        if is_image(cut[0][1][0]):
            return cut
    return lines


def _cut(
    labels: Path, text: str, delimiter: str, *, skipped: int = 0, strict: bool = True
) -> list[Line]:
    """The cells of each line that is not empty."""
    file = io.StringIO(text, newline=None)
    if delimiter == BLANKS:
        cut = [(number, _TOKEN.findall(line.lstrip("# "))) for number, line in enumerate(file, 1)]
    else:
        reader = csv.reader(file, delimiter=delimiter, strict=strict)
        try:
            cut = [(reader.line_num, cells) for cells in reader]
        except csv.Error as error:
            if not strict:
                return []
            raise UserError(
                f"--labels {labels}: can't be read as CSV (line {reader.line_num + skipped}: "
                f"{error}). Is a quotation mark not closed?"
            ) from None
    cleaned = [(number + skipped, list(map(_clean, cells))) for number, cells in cut]
    return [(number, cells) for number, cells in cleaned if any(cells)]


def _clean(cell: str) -> str:
    """A cell without blanks, a byte order mark from joined files, and Excel's `="..."`."""
    cell = cell.strip("\ufeff\u200b \t\r\n\xa0")
    if match := _EXCEL_TEXT.fullmatch(cell):
        return match["text"].strip()
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].strip() if quoted else cell


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
