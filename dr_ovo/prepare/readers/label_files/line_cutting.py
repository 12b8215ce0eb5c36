"""Cuts the text of a label file into cells: the delimiter, and names of photographs with blanks."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.csv_text import unguarded
from dr_ovo.errors import UserError

BLANKS = " "  # runs of blanks between the cells
# The first of those that cut the lines most evenly. Semicolons before commas: with decimal commas
# ("a.jpg;2,0") both cut every line.
DELIMITERS = "\t;|," + BLANKS
SEARCHED = 30  # lines at the beginning in which the header line is looked for
NAMES_SEARCHED = 200  # lines in which names with blanks are looked for
MOST_BEFORE, MOST_BEHIND = 2, 5  # cells beside a name with blanks
_SEPARATOR = re.compile(r'"?sep=(?P<delimiter>.)"?', re.IGNORECASE)
_EXCEL_TEXT = re.compile(r'="(?P<text>[^"]*)"')  # how Excel's users keep leading zeros
_TOKEN = re.compile(r'"[^"]*"|\S+')

Line = tuple[int, list[str]]  # its number in the file, its cells


@dataclass(frozen=True)
class Recognised:
    """How a header line and names of photographs are recognised.

    `is_header`: whether cells name a column of images and one of grades; `names_column`: whether a
    cell is the usual name of any; `is_image`: whether a cell names a photograph; `is_known`: one
    that is there.
    """

    is_header: Callable[[Sequence[str]], bool]
    names_column: Callable[[str], bool]
    is_image: Callable[[str], bool]
    is_known: Callable[[str], bool]


def cut_lines(labels: Path, text: str, recognised: Recognised) -> list[Line]:
    """The lines that are not empty, cut at the delimiter that cuts them most evenly.

    Raises UserError for a quotation mark that is not closed.
    """
    is_header, is_image = recognised.is_header, recognised.is_image
    first, _, rest = text.partition("\n")
    if match := _SEPARATOR.match(first.strip("\ufeff \r")):
        return _cut(labels, rest, match["delimiter"], skipped=1)

    def fit(delimiter: str) -> tuple[float, bool]:
        lines = _cut(labels, text, delimiter, strict=False)
        counts = Counter(len(cells) for _, cells in lines if len(cells) > 1)
        evenness = max(counts.values(), default=0) / max(1, len(lines))
        return evenness, any(is_header(c) or any(map(is_image, c)) for _, c in lines[:SEARCHED])

    best = max(DELIMITERS, key=fit)
    if best == BLANKS:
        return _cut_at_blanks(text, recognised)
    return _cut(labels, text, best)


def _cut_at_blanks(text: str, recognised: Recognised) -> list[Line]:
    """The lines cut at runs of blanks, except those inside the names of photographs.

    A name lies between as many cells on its left, and on its right, in each line.
    """
    lines = [(at, line.lstrip("# \ufeff")) for at, line in enumerate(io.StringIO(text, None), 1)]
    found = [(at, line, list(_TOKEN.finditer(line))) for at, line in lines]
    found = [(at, line, tokens) for at, line, tokens in found if tokens]
    searched = [(line, tokens) for _, line, tokens in found[:NAMES_SEARCHED]]
    around = _cells_around(searched, recognised.is_known, known=True)
    around = around or _cells_around(searched, recognised.is_image, known=False)
    return [(at, _joined(line, tokens, around)) for at, line, tokens in found]


def _cells_around(
    lines: Sequence[tuple[str, list[re.Match[str]]]], is_name: Callable[[str], bool], *, known: bool
) -> tuple[int, int] | None:
    """How many cells are on the left and on the right of a name with blanks.

    None where single cells are names as often; but of photographs that are there (`known`), `eye
    1.jpg` is rather that one than `1.jpg`.
    """
    most = max((len(tokens) for _, tokens in lines), default=0)
    single = [
        sum(at < len(tokens) and is_name(_clean(tokens[at][0])) for _, tokens in lines)
        for at in range(most)
    ]
    names = {
        (before, after): [
            name
            for line, tokens in lines
            if len(tokens) > before + after
            and is_name(name := _joined(line, tokens, (before, after))[before])
        ]
        for before in range(MOST_BEFORE + 1)
        for after in range(MOST_BEHIND + 1)
        if before + after
    }
    best = max(names, key=lambda around: len(names[around]))
    blank = known and any(" " in name.rpartition("/")[2] for name in names[best])
    return best if len(names[best]) + blank > max(single, default=0) else None


def _joined(line: str, tokens: list[re.Match[str]], around: tuple[int, int] | None) -> list[str]:
    """The cells of a line, those of the name (see `_cells_around`) as one."""
    cells = [_clean(token[0]) for token in tokens]
    if around is None or len(tokens) <= sum(around):
        return cells
    before, after = around
    name = line[tokens[before].start() : tokens[-after - 1].end()]
    return [*cells[:before], _clean(name), *cells[len(cells) - after :]]


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
    """A cell without blanks, a byte order mark from joined files, Excel's `="..."`, and the
    apostrophe that our own tables put before a name that a spreadsheet would run."""
    cell = cell.strip("\ufeff\u200b \t\r\n\xa0")
    if match := _EXCEL_TEXT.fullmatch(cell):
        return match["text"].strip()
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return unguarded(cell[1:-1].strip() if quoted else cell)
