"""Whether a label file has a header line, where its first pictures are missing or it has titles."""

from __future__ import annotations

import pytest

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.csv_labels import LabelRules
from dr_ovo.prepare.readers.grade_map import scale_of

SKIP = LabelRules(skip_missing=True)
PICTURES = ["a.png", "b.png"]


def grades(reading) -> dict[str, int]:
    return {photograph.name: photograph.grade for photograph in reading.photographs}


@pytest.mark.parametrize("named", [{}, {"image": "1", "grade": "2"}])
@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("zz,2\na,1\nb,3\n", ["zz"]),
        ("zz 2\nyy 1\na 1\nb 3\n", ["zz", "yy"]),
        ("zz\tPDR\na\tMild\nb\tSevere\n", ["zz"]),
        ("zz.png;2\na;1\nb;3\n", ["zz.png"]),
    ],
)
def test_a_list_whose_first_picture_is_missing(read_set, text, missing, named):
    found = read_set({"list.txt": text}, PICTURES, SKIP, **named)
    assert grades(found) == {"a.png": 1, "b.png": 3}
    assert [drop.file for drop in found.dropped] == missing


def test_numbers_as_names_and_the_first_is_missing(read_set):
    pictures = ["1.png", "2.png"]
    found = read_set({"l.csv": "9,3\n1,2\n2,0\n"}, pictures, SKIP, image="1", grade="2")
    assert grades(found) == {"1.png": 2, "2.png": 0}
    assert [drop.file for drop in found.dropped] == ["9"]


def test_labels_that_are_known_only_by_a_map(read_set):
    rules = LabelRules(scale_of((), ("R0=0", "R1=1")), skip_missing=True)
    found = read_set({"l.csv": "zz,R0\na,R1\nb,R0\n"}, PICTURES, rules)
    assert grades(found) == {"a.png": 1, "b.png": 0}
    assert [drop.file for drop in found.dropped] == ["zz"]


def test_a_title_above_a_list(read_set):
    found = read_set({"l.csv": "Labels of the clinic\na,1\nb,3\n"}, PICTURES)
    assert grades(found) == {"a.png": 1, "b.png": 3}


def test_a_header_without_a_known_column_of_grades_is_still_a_header(read_set):
    for header in ("image,No_DR,Mild", "image,0,1", "picture,score"):
        row = ",".join(["a", *"1" * header.count(",")])
        with pytest.raises(UserError, match=r"no column of \w+ under a usual name.*It has: "):
            read_set({"l.csv": f"{header}\n{row}\n"}, [*PICTURES, "1.png"])


def test_columns_that_pandas_named_by_number(read_set):
    text = ",0,1\n0,a.png,2\n1,b.png,0\n"
    assert grades(read_set({"l.csv": text}, PICTURES, image="0", grade="1")) == {
        "a.png": 2, "b.png": 0,
    }  # fmt: skip
