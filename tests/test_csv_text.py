"""CSV: read back as written, and no name is a formula."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dr_ovo.csv_text import csv_text, guarded, unguarded

FORMULAS = [
    "=1+1", "=cmd|'/c calc'!A1", "+A1", "-A1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1",
    "\uff1d1+1", "'=1", "--5", "-0.5 %", "+49 30 1234",
]  # fmt: skip
HARMLESS = [
    "", "a=b", "coatnet", "-0.5", "-5", "+3", "1e-5", "-1.5E+10", "-.5", "-inf", "nan", "-", "+",
    "0 - 1", "'quoted'", " =1",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_everything_else_stays(text):
    assert guarded(text) == text


@given(st.text())
def test_the_guard_can_be_taken_off(text):
    assert unguarded(guarded(text)) == text


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2)))
def test_cells_are_read_back(rows):
    header = ["a", "b,c"]
    read = list(csv.reader(io.StringIO(csv_text(header, rows), newline="")))
    assert [[unguarded(cell) for cell in row] for row in read] == [header, *rows]


def test_numbers_stay_numbers_and_none_is_empty():
    row = [-0.5, -3, np.float64(-0.25), np.int64(-7), "-0.500000", None, True, float("nan")]
    assert csv_text(list("abcdefgh"), [row]).splitlines()[1] == (
        "-0.5,-3,-0.25,-7,-0.500000,,True,nan"
    )
