"""A column of grades that wins and says no grade, or says less than another."""

from __future__ import annotations

import pytest

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.csv_labels import LabelRules
from dr_ovo.prepare.readers.grade_map import scale_of

PICTURES = ["a.png", "b.png", "c.png"]
WORDS = {"l.csv": "image,level,adjudicated_dr_grade\na,0,R0\nb,1,R1\nc,3,R1\n"}


def grades(reading) -> list[int]:
    return [photograph.grade for photograph in reading.photographs]


def test_a_better_column_of_unknown_words_stops(read_set):
    with pytest.raises(UserError) as caught:
        read_set(WORDS, PICTURES)
    said = str(caught.value)
    assert "adjudicated_dr_grade comes before level" in said
    assert "'R1' 2, 'R0' 1" in said
    assert "--grade_map" in said
    assert "--grade_column level" in said
    assert grades(read_set(WORDS, PICTURES, grade="level")) == [0, 1, 3]
    rules = LabelRules(scale_of((), ("R0=0", "R1=1")))
    assert grades(read_set(WORDS, PICTURES, rules)) == [0, 1, 1]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("image,patient_dr_level,label", "label comes before patient_dr_level"),
        ("image,level,final_icdr", "final_icdr comes before level"),
    ],
)
def test_one_such_cell_is_enough(read_set, header, said):
    with pytest.raises(UserError, match=said):
        read_set({"l.csv": f"{header}\na,0,\nb,1,x\nc,2,\n"}, PICTURES)


def test_rows_that_are_not_gradable_may_say_anything(read_set):
    text = "image,level,adjudicated_dr_grade,gradable\na,0,,1\nb,1,x,0\nc,2,,1\n"
    assert grades(read_set({"l.csv": text}, PICTURES)) == [0, 2]


def test_empty_cells_that_another_column_has_are_said(read_set):
    text = "image,level,adjudicated_dr_grade,gradable\na,0,1,1\nb,1,,1\nc,3,,0\n"
    found = read_set({"l.csv": text}, PICTURES)
    assert grades(found) == [1]
    (said,) = found.remarks
    assert said.startswith("1 rows of l.csv have no grade in adjudicated_dr_grade")
    assert said.endswith("--grade_column level.")


def test_the_patient_s_grade_is_no_advice(read_set):
    text = "image,left_eye_level,right_eye_level,patient_level\n1_l1,0,,3\n1_r1,,,3\n"
    found = read_set({"l.csv": text}, ["1_l1.png", "1_r1.png"])
    assert grades(found) == [0]
    assert found.remarks == []
