from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dr_ovo.tables import WIDTH, decimal, magnitude, percent, table, visible, wrapped


def test_percent_is_the_fraction_times_a_hundred() -> None:
    assert percent(0.583) == "58.3 %"
    assert percent(1) == "100.0 %"
    assert percent(0.032, unit="", sign="+") == "+3.2"
    assert percent(-0.005, unit="", sign="+") == "-0.5"
    assert percent(None) == "-"
    assert percent(None, unknown="unknown") == "unknown"


@pytest.mark.parametrize("value", [50.0, 1.01, -1.01, float("nan")])
def test_percent_refuses_what_is_no_fraction(value: float) -> None:
    with pytest.raises(ValueError, match="not a fraction"):
        percent(value)


@pytest.mark.parametrize(
    ("count", "unit", "text"),
    [
        (26_700_000, "", "26.7 M"),
        (107_100_000, "B", "107.1 MB"),
        (2_500_000_000, "B", "2.5 GB"),
        (1000, "", "1.0 k"),
        (999, "", "999"),
        (0, "B", "0 B"),
        (None, "B", "-"),
    ],
)
def test_magnitude(count: float | None, unit: str, text: str) -> None:
    assert magnitude(count, unit) == text


def test_decimal_has_three_places() -> None:
    assert decimal(0.71249) == "0.712"
    assert decimal(-0.1) == "-0.100"
    assert decimal(None) == "-"


def test_table_aligns_words_left_and_numbers_right() -> None:
    assert table(["pair", "n", ""], [["0-1", "7", ""], ["average", "1234", "low"]]).split("\n") == [
        "pair        n",
        "-------  ----",
        "0-1         7",
        "average  1234  low",
    ]


words = st.lists(st.text("abcde-/.", min_size=1, max_size=30), min_size=1, max_size=40)


@given(words)
def test_wrapped_keeps_every_word_whole_and_the_width(parts: list[str]) -> None:
    text = wrapped(" ".join(parts))
    assert text.split() == parts
    assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("text", "name", "lines"),
    [
        ("plain \u4e2d\u6587 \u05d0\u05d1 \u0639", None, None),
        ("a\nb\tc", "a\\nb\\tc", "a\nb\tc"),
        ("\x1b[2J\r\x07\x00\x7f\x9b", "\\x1b[2J\\r\\x07\\x00\\x7f\\x9b", None),
        ("\u202egpj.x\u2066\u2028", "\\u202egpj.x\\u2066\\u2028", None),
        ("caf\udce9", "caf\\udce9", None),
        ("C:\\new", "C:\\new", None),
    ],
)
def test_control_characters_become_visible(text, name, lines):
    name = text if name is None else name
    assert visible(text) == name
    assert visible(text, lines=True) == (name if lines is None else lines)


def test_a_cell_with_lines_keeps_its_row():
    assert table(["a"], [["x\ny\x1b"]]).splitlines() == ["a", "--------", "x\\ny\\x1b"]
