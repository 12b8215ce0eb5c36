"""What is said of label files that were read: contradicting eyes, files joined without splits."""

from __future__ import annotations

import pytest


def test_an_eye_that_contradicts_the_name_is_said(read_set):
    text = "image,level,eye\n1_left,0,OD\n2_left,1,OS\n3_l2,2,\n4_OI,3,right\nx,4,left\n"
    pictures = ["1_left.png", "2_left.png", "3_l2.png", "4_OI.png", "x.png"]
    found = read_set({"l.csv": text}, pictures)
    assert found.photographs[0].eye == "right"
    (said,) = found.remarks
    assert said.startswith(
        "2 photographs have another eye in the column eye than in their names (1_left: right)."
    )
    by_name = read_set({"l.csv": text}, pictures, eye="none")
    assert by_name.photographs[0].eye == "left"
    assert by_name.remarks == []


def test_what_is_said_of_one_photograph_is_singular(read_set):
    found = read_set({"l.csv": "image,level,eye,patient\n1_left,0,OD,none\n"}, ["1_left.png"])
    assert found.remarks[0].startswith(
        "1 photograph has another eye in the column eye than in its name (1_left: right)."
    )
    assert found.remarks[1].startswith("1 photograph has 'none' as patient: treated as unknown")


FILES = {"A.csv": "image,level\na,0\n", "B.csv": "image,level\nb,1\n"}
PICTURES = ["a.png", "b.png"]


def test_files_without_splits_are_joined_and_it_is_said(read_set):
    (said,) = read_set(FILES, PICTURES).remarks
    assert said.startswith("2 label files are joined, and divided anew")
    assert "--split_column" in said
    assert read_set(FILES, PICTURES, split="none").remarks == []


@pytest.mark.parametrize(
    "files",
    [
        {"train.csv": FILES["A.csv"], "test.csv": FILES["B.csv"]},
        {"A.csv": "image,level,split\na,0,train\n", "B.csv": "image,level,split\nb,1,test\n"},
    ],
)
def test_files_with_splits_are_not(read_set, files):
    found = read_set(files, PICTURES)
    assert [photograph.split for photograph in found.photographs] == ["train", "test"]
    assert found.remarks == []
