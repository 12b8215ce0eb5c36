"""Numbers of patients that files write differently."""

from __future__ import annotations

import pytest

PICTURES = ["a.png", "b.png", "c.png", "d.png"]


def table(*patients, pictures):
    rows = [f"{name},{patient},1" for name, patient in zip(pictures, patients, strict=True)]
    return "\n".join(["image,patient,grade", *rows])


@pytest.mark.parametrize(
    ("one", "other", "patients"),
    [
        (("7", "8"), ("7.0", "8.0"), ["7", "8", "7", "8"]),
        (("7.0", "8.0"), ("7", "8"), ["7", "8", "7", "8"]),
        (("7.0", ""), ("7", "8.00"), ["7", "", "7", "8"]),
        (("007", "8"), ("7", "08"), ["007", "8", "007", "8"]),
        (("007", "7"), ("007", "7.0"), ["007", "7", "007", "7"]),
        (("1.5", "A.0"), ("1.5", "A"), ["1.5", "A.0", "1.5", "A"]),
    ],
)
def test_one_form_in_two_files(read_set, one, other, patients):
    files = {
        "a.csv": table(*one, pictures="ab"),
        "b.csv": table(*other, pictures="cd"),
    }
    assert [photo.patient for photo in read_set(files, PICTURES).photographs] == patients


def test_a_photograph_in_both_files_is_of_one_patient(read_set):
    files = {"a.csv": table("7", pictures="a"), "b.csv": table("7.0", "8", pictures="ab")}
    assert [photo.patient for photo in read_set(files, PICTURES).photographs] == ["7", "8"]
