"""Columns of patients and grades under other names: used, or said where they are not."""

from __future__ import annotations

import pytest

PICTURES = [f"a{at}.png" for at in range(6)]
GRADES = (0, 1, 2, 3, 4, 1)


def table(header, *columns):
    rows = zip([name[:-4] for name in PICTURES], GRADES, *columns, strict=True)
    return {"l.csv": "\n".join([f"image,level,{header}", *(",".join(map(str, r)) for r in rows)])}


@pytest.mark.parametrize(
    "name",
    ["patient_no", "PatientNo", "Patient Number", "ID_patient", "pid", "MRN", "ptid", "eid",
     "case_id", "participant_id", "SubjectID", "id_paciente"],
)  # fmt: skip
def test_usual_names_of_patients(read_set, name):
    found = read_set(table(name, "AABBCC"), PICTURES)
    assert [one.patient for one in found.photographs] == list("AABBCC")
    assert found.columns["patient"] == name


def test_a_case_of_each_photograph_is_no_patient(read_set):
    pictures = ["7_left.png", "7_right.png"]
    found = read_set({"l.csv": "image,case_id,level\n7_left,1,0\n7_right,2,1\n"}, pictures)
    assert [one.patient for one in found.photographs] == ["7", "7"]


def test_a_column_that_looks_like_patients_is_said(read_set):
    (said,) = read_set(table("patient_code_2", "AABBCC"), PICTURES).remarks
    assert said.startswith("The column patient_code_2 of l.csv is not used.")
    assert "--patient_column patient_code_2" in said


@pytest.mark.parametrize(
    ("name", "cells"),
    [("patient_age", "AABBCC"), ("patient_sex", "FFFMMM"), ("patient_code_2", "ABCDEF"),
     ("patient_code_2", "AAAAAB"), ("camera", "AABBCC")],
)  # fmt: skip
def test_others_are_not(read_set, name, cells):
    assert read_set(table(name, cells), PICTURES).remarks == []


def test_beside_a_column_of_patients_no_other_is_said(read_set):
    found = read_set(table("patient_id,subject_code", "AABBCC", "XXYYZZ"), PICTURES)
    assert found.remarks == []


@pytest.mark.parametrize(
    "name", ["consensus_grade", "final_grade", "final_dr_grade", "Adjudicated ICDR", "FinalLevel"]
)
def test_the_grade_of_several_graders_wins(read_set, name):
    found = read_set(table(name, "432100"), PICTURES)
    assert [one.grade for one in found.photographs] == [4, 3, 2, 1, 0, 0]
    assert found.columns["grade"] == name


@pytest.mark.parametrize("name", ["DR_grade_new", "level.1", "grade_second", "icdr_2"])
def test_another_column_of_grades_that_differs_is_said(read_set, name):
    (said,) = read_set(table(name, "012300"), PICTURES).remarks
    assert f"The column {name} of l.csv has grades too, and differs from level" in said
    assert "in 2 rows" in said
    assert f"--grade_column {name}" in said


@pytest.mark.parametrize(
    ("name", "cells"),
    [("DR_grade_new", "012341"), ("DR_grade_new", "01234x"), ("DME_level", "000111"),
     ("age_level", "000111"), ("grader", "000111")],
)  # fmt: skip
def test_other_columns_are_not(read_set, name, cells):
    assert read_set(table(name, cells), PICTURES).remarks == []
