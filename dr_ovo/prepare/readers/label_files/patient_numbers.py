"""Brings the numbers of patients that files write differently (7, 7.0, 007) to one form."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dr_ovo.prepare.readers.label_files.label_rows import Row

_AS_FLOAT = re.compile(r"(\d+)\.0+")  # as pandas writes a column with empty cells


def with_one_form(rows: Sequence[Row]) -> list[Row]:
    """The rows with each number of a patient as it is first written: 7.0 is 7, and 007 is 7 where
    different files have these forms. In one file, 007 and 7 stay two patients."""
    texts = [_without_point(row.cell("patient")) for row in rows]
    forms: dict[str, dict[Path, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row, text in zip(rows, texts, strict=True):
        if text.isdecimal():
            forms[text.lstrip("0")][row.file.labels].add(text)
    first: dict[str, str] = {}
    for by_file in forms.values():
        own = [next(iter(written)) for written in by_file.values() if len(written) == 1]
        if len(own) == len(by_file):
            first |= dict.fromkeys(own, own[0])
    return [
        _with_patient(row, first.get(text, text)) for row, text in zip(rows, texts, strict=True)
    ]


def _without_point(text: str) -> str:
    match = _AS_FLOAT.fullmatch(text)
    return match[1] if match else text


def _with_patient(row: Row, patient: str) -> Row:
    if patient == row.cell("patient"):
        return row
    at = row.file.columns["patient"]
    return replace(row, cells=(*row.cells[:at], patient, *row.cells[at + 1 :]))
