"""Reads single cells of a label file: split and eye."""

from __future__ import annotations

from dr_ovo.dataset.words import (
    SPLIT_WORDS,
    eye_of,
    is_unknown,
    split_of,
)
from dr_ovo.errors import UserError


def parse_split(where: str, text: str) -> str:
    """train, val or test from the text of a cell. Raises UserError, which names the line."""
    if split := split_of(text):
        return split
    raise UserError(
        f"{where}: '{text}' is not a split. Expected one of {', '.join(SPLIT_WORDS)}. Fix it, "
        "name another column with --split_column, or split again with --split_column none."
    )


def parse_eye(where: str, text: str, column: str) -> str:
    """left, right or "" from a cell in a column of this name. Raises UserError, which names the
    line."""
    eye = eye_of(text, column)
    if eye or is_unknown(text):
        return eye
    raise UserError(
        f"{where}: '{text}' is not an eye. Expected left or right (l, r, os, od, oi, oe, og) or an "
        "empty cell. Fix it, or ignore the column with --eye_column none."
    )
