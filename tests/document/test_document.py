"""How cells of a report are written."""

import pytest

from dr_ovo.document.document import FORMATS, Column, minutes, p_value


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("text", "coatnet", "coatnet"),
        ("yes", True, "yes"),
        ("yes", False, "no"),
        ("count", 10000, "10,000"),
        ("percent", 0.5834, "58.3"),
        ("decimal", 0.86349, "0.863"),
        ("signed_percent", -0.021, "-2.1"),
        ("signed_percent", 0.021, "+2.1"),
        ("signed_decimal", 0.0214, "+0.021"),
        ("p", 0.0004, "<.001"),
        ("p", 0.0499, "0.050"),
        ("magnitude", 26_700_000, "26.7 M"),
        ("bytes", 107_100_000, "107.1 MB"),
        ("minutes", 12_000, "3 h 20 min"),
        ("minutes", 600, "10 min"),
        ("minutes", 12, "12 s"),
    ],
)
def test_formats(form, value, text):
    assert Column("key", "title", form).text(value) == text


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_what_is_unknown_is_a_dash(form):
    assert Column("key", "title", form).text(None) == "-"
    assert Column("key", "title", form).text({"value": None, "reason": "why"}) == "-"


def test_intervals_stand_behind_their_value():
    column = Column("recall", "recall", "percent")
    assert column.text({"value": 0.9, "low": 0.85, "high": 0.94}) == "90.0 (85.0 to 94.0)"
    assert column.text({"value": 1.0, "low": None, "high": None, "reason": "no spread"}) == "100.0"
    signed = Column("lead", "lead", "signed_percent")
    assert signed.text({"value": 0.0, "low": -0.01, "high": 0.02}) == "+0.0 (-1.0 to +2.0)"


def test_a_percentage_is_never_taken_for_a_fraction():
    with pytest.raises(ValueError, match="not a fraction"):
        Column("key", "title", "percent").text(58.3)


def test_none_is_no_number():
    assert (p_value(None), minutes(None)) == ("-", "-")
