"""Words for splits, grades and patients."""

from __future__ import annotations

import pytest

from dr_ovo.dataset.words import (
    grade_of,
    is_split_or_grade,
    is_unknown,
    number_of,
    split_of,
)


@pytest.mark.parametrize(
    ("word", "split"),
    [("Train", "train"), ("valid", "val"), ("TESTING", "test"), (" dev ", "val"), ("holdout", "")],
)
def test_splits(word, split):
    assert split_of(word) == split


@pytest.mark.parametrize(
    ("word", "grade"),
    [("No_DR", 0), ("no dr", 0), ("Mild NPDR", 1), ("Moderate", 2), ("Proliferative DR", 4),
     ("Mild non-proliferative diabetic retinopathy (NPDR)", 1), ("Mild DR (PDR)", None),
     ("Proliferative diabetic retinopathy (PDR)", 4), ("No diabetic retinopathy (DR)", 0),
     ("3", 3), ("5", None), ("eyes", None), ("", None)],
)  # fmt: skip
def test_grades(word, grade):
    assert grade_of(word) == grade


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2), (" 2,0 ", 2), ("-1.5", -1.5), ("2.000000000000000000e+00", 2), ("1.0e+01", 10),
     ("1e0", None), ("2e5", None), ("1.0.0", None), ("x", None), ("", None)],
)  # fmt: skip
def test_numbers(text, number):
    assert number_of(text) == number


@pytest.mark.parametrize("word", ["", " ", "Unknown", "NaN", "N/A", "none", "-", "NULL"])
def test_no_patient(word):
    assert is_unknown(word)


def test_a_patient_is_no_placeholder():
    assert not is_unknown("P7")
    assert not is_unknown("0")
    assert is_split_or_grade("Severe")
    assert is_split_or_grade("test")
    assert not is_split_or_grade("P7")
