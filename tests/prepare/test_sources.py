"""Patients and eyes of the photographs of any source."""

from __future__ import annotations

from pathlib import Path

from dr_ovo.dataset.photograph import Photograph
from dr_ovo.prepare.file_names import placed_names
from dr_ovo.prepare.sources import with_patients


def test_patients_by_the_names_that_photographs_get():
    """`left.jpg` repeats, so `0/left.jpg` becomes `0_left.jpg`, which means patient 0."""
    names = ("0/left.jpg", "0/right.jpg", "1/left.jpg", "1/right.jpg", "1/alone.jpg")
    found = [Photograph(Path(name), name, 0) for name in names]
    named = with_patients(found, placed_names(found, shrunken=False))
    assert [(one.patient, one.eye) for one in named] == [
        ("0", "left"), ("0", "right"), ("1", "left"), ("1", "right"), ("", ""),
    ]  # fmt: skip


def test_what_is_known_better_stays():
    found = [Photograph(Path("a_left.jpg"), "a_left.jpg", 0, patient="P7", eye="right")]
    assert with_patients(found, ["a_left.jpg"]) == found
