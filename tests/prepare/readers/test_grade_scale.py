"""What labels mean: ICDR's words, --class_names, --grade_map, and scales that are not ICDR's."""

from __future__ import annotations

import re

import pytest

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.csv_labels import LabelReading, LabelRules, read_labels
from dr_ovo.prepare.readers.grade_map import scale_of
from dr_ovo.prepare.readers.grade_scale import (
    GRADED,
    MISSING,
    OUTSIDE,
    UNKNOWN,
    GradeScale,
    Reading,
)
from dr_ovo.prepare.readers.scale_checks import missing_grades


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0), ("4", 4), ("2.0", 2), ("2,0", 2), (" 3 ", 3), ("02", 2),
        ("No apparent retinopathy", 0), ("No DR", 0), ("no diabetic retinopathy", 0),
        ("Mild NPDR", 1), ("Mild nonproliferative diabetic retinopathy", 1), ("mild_DR", 1),
        ("Moderate non-proliferative diabetic retinopathy", 2), ("NPDR, moderate", 2),
        ("Moderate NPDR", 2), ("Severe non\u2010proliferative DR", 3), ("NPDR (severe)", 3),
        ("PDR", 4), ("Proliferative diabetic retinopathy", 4), ("Proliferative DR", 4),
        ("2 - Moderate NPDR", 2), ("0: No DR", 0),
        ("", MISSING), ("nan", MISSING), ("-", MISSING), ("Ungradable", MISSING),
        ("not gradable", MISSING), ("N/A", MISSING),
        ("5", OUTSIDE), ("-1", OUTSIDE), ("1.5", OUTSIDE), ("99", OUTSIDE),
        ("NPDR", UNKNOWN), ("None", UNKNOWN), ("R0", UNKNOWN), ("R1", UNKNOWN), ("R3A", UNKNOWN),
        ("non-proliferative", UNKNOWN), ("3 - Moderate NPDR", UNKNOWN), ("yes", UNKNOWN),
        ("inf", UNKNOWN), ("1e0", UNKNOWN), ("Grade A", UNKNOWN),
    ],
)  # fmt: skip
def test_a_cell_on_icdrs_scale(text, expected):
    reading = GradeScale().read(text)
    grade = expected if isinstance(expected, int) else None
    assert reading == Reading(GRADED if grade is not None else str(expected), grade)


@pytest.mark.parametrize(
    ("names", "grade_map", "classes", "read"),
    [
        # The Scottish scale, as grades of ICDR's.
        ("", "R0=0 R1=1 R2=3 R3=4", "", {"R0": 0, "r2": 3, "R3": 4, "2": 2, "R4": UNKNOWN}),
        ("", "R0=Normal R1=Mild", "", {"R0": 0, "R1": 1}),
        ("", "1=0 2=1 3=2 4=3 5=4", "", {"1": 0, "5.0": 4, "2,0": 1}),
        ("", "5=-", "", {"5": MISSING, "4": 4}),
        ("", "None=0 other=-", "", {"None": 0, "OTHER": MISSING}),
        # Grades joined to a class: the others stay, in the order of their grades.
        ("", "1,2,3=NPDR", "0 NPDR 4", {"0": 0, "1": 1, "3": 1, "4": 2, "Mild": 1, "PDR": 2}),
        ("", "1,2,3=NPDR 4=PDR", "0 NPDR PDR", {"0": 0, "2": 1, "4": 2}),
        ("", "0,1=no 2,3,4=yes", "no yes", {"0": 0, "1": 0, "4": 1, "No DR": 0}),
        ("", "2,3,4=yes 0,1=no", "no yes", {"0": 0, "4": 1}),
        ("", "R0=healthy_eye R1,R2=NPDR R3=PDR", "healthy_eye NPDR PDR", {"R0": 0, "R2": 1}),
        # Classes by name or number.
        ("No_DR DR", "", "No_DR DR", {"0": 0, "1": 1, "no dr": 0, "DR": 1, "2": OUTSIDE}),
        ("No_DR DR", "", "No_DR DR", {"Normal": 0, "Mild": UNKNOWN, "": MISSING}),
        ("No_DR DR", "no=No_DR yes=DR", "No_DR DR", {"yes": 1, "no": 0}),
        ("No_DR DR", "no=0 yes=1", "No_DR DR", {"yes": 1, "no": 0}),
        ("No_DR DR", "1,2,3,4=DR", "No_DR DR", {"0": 0, "1": 1, "4": 1, "Severe": 1}),
        ("No_DR NPDR PDR", "1,2,3=NPDR", "No_DR NPDR PDR", {"0": 0, "2": 1, "4": 2}),
        ("No_DR NPDR PDR", "1,2=NPDR", "No_DR NPDR PDR", {"2": 1, "3": OUTSIDE, "4": OUTSIDE}),
        ("1 2 3 4 5", "", "1 2 3 4 5", {"1": 0, "5": 4, "0": OUTSIDE}),
        ("None Mild", "", "None Mild", {"None": 0, "mild": 1}),
    ],
)
def test_classes_and_maps(names, grade_map, classes, read):
    scale = scale_of(names.split(), grade_map.split())
    assert scale.class_names == tuple(classes.split())
    for text, expected in read.items():
        got = scale.read(text)
        assert (got.grade if got.kind == GRADED else got.kind) == expected, text


@pytest.mark.parametrize(
    ("names", "grade_map", "said"),
    [
        ("", "R0", r"R0: expected LABEL=GRADE.*1,2,3=NPDR"),
        ("", "R0=", r"expected LABEL=GRADE"),
        ("", "=1", r"expected LABEL=GRADE"),
        ("", "R0=7", r"\.\.\.=7: expected a grade from 0 to 4"),
        ("", "R0=0 R0=1", r"a label has two meanings"),
        ("", "1=0 1.0=1", r"a label has two meanings"),
        ("No_DR DR", "R0=Mild", r"Mild is not one of the classes \(No_DR, DR\)"),
        ("No_DR DR", "R0=2", r"2 is not one of the classes"),
        ("DR", "", r"two or more different names"),
        ("DR DR", "", r"given twice"),
        ("No_DR no-dr", "", r"two or more different names"),
        ("a/b c", "", r"expected the name of a folder"),
    ],
)
def test_maps_that_mean_nothing(names, grade_map, said):
    with pytest.raises(UserError, match=said):
        scale_of(names.split(), grade_map.split())


@pytest.fixture
def read(tmp_path):
    def make(labels: list[str], rules: LabelRules | None = None, name="level") -> LabelReading:
        (tmp_path / "pictures").mkdir(exist_ok=True)
        for at in range(len(labels)):
            (tmp_path / "pictures" / f"p{at}.png").touch()
        rows = [f"p{at},{label}" for at, label in enumerate(labels)]
        (tmp_path / "labels.csv").write_text("\n".join([f"image,{name}", *rows]))
        paths = [tmp_path / "labels.csv"]
        return read_labels(tmp_path / "pictures", paths, {}, rules or LabelRules())

    return make


def test_unknown_words_stop_once_for_all_rows(read):
    with pytest.raises(UserError) as caught:
        read(["0", "R1", "R1", "R3"])
    said = str(caught.value)
    assert "line 3: 'R1' is not a grade" in said
    assert "'R1' 2, 'R3' 1" in said
    assert "--grade_map R0=0 R1=1 R2=3 R3=4" in said
    with pytest.raises(UserError, match="'R1' is not a grade"):  # a word may be a grade
        read(["0", "R1", "R1", "R3"], LabelRules(skip_ungraded=True))


def test_numbers_outside_the_scale_stop_once_and_can_be_left_out(read):
    labels = ["0", "5", "4", "5", "9", "2"]
    with pytest.raises(UserError, match=r"line 3: '5' is not.*'5' 2, '9' 1.*--skip_ungraded"):
        read(labels)
    found = read(labels, LabelRules(skip_ungraded=True))
    assert [photograph.grade for photograph in found.photographs] == [0, 4, 2]
    assert [drop.file for drop in found.dropped] == ["p1.png", "p3.png", "p4.png"]
    assert {drop.kind for drop in found.dropped} == {"ungraded"}


@pytest.mark.parametrize("skip", [False, True])
def test_a_scale_from_1_to_5(read, skip):
    labels = ["1", "2", "3", "4", "5"]
    with pytest.raises(UserError, match=r"no 0.*--grade_map 1=0 2=1 3=2 4=3 5=4"):
        read(labels, LabelRules(skip_ungraded=skip))
    found = read(labels, LabelRules(scale_of((), ("1=0", "2=1", "3=2", "4=3", "5=4"))))
    assert [photograph.grade for photograph in found.photographs] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("grades", "said"),
    [
        ({0, 1, 2, 3, 4}, []),
        ({0, 1, 2, 3}, [r"has grade 4\. Is this ICDR's scale\? Messidor-1"]),
        ({1, 2, 3, 4}, [r"has grade 0\. If the scale begins with 1.*--grade_map"]),
        ({0, 4}, [r"has grade 1, 2, 3\."]),
    ],
)
def test_a_grade_without_photographs_is_said(grades, said):
    found = missing_grades(grades, GradeScale())
    assert len(found) == len(said)
    assert all(re.search(one, text) for one, text in zip(said, found, strict=True))


def test_a_label_that_is_no_grade_tells_nothing_of_the_others():
    assert not GradeScale(mapped={"x": None}).is_given
    assert GradeScale(mapped={"r0": 0}).is_given


def test_a_digit_that_is_no_number_is_an_unknown_word():
    assert GradeScale().read("² mild").kind == UNKNOWN
    assert GradeScale().read("²").kind == UNKNOWN
