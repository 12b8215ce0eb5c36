"""Which column has the grade: ranks, columns per eye, disagreement, columns of yes and no."""

from __future__ import annotations

import pytest

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.csv_labels import LabelReading, LabelRules, read_labels
from dr_ovo.prepare.readers.grade_columns import grade_positions
from dr_ovo.prepare.readers.grade_map import scale_of


@pytest.fixture
def read(tmp_path):
    def make(header: str, *rows: str, rules: LabelRules | None = None, **named) -> LabelReading:
        (tmp_path / "pictures").mkdir(exist_ok=True)
        for row in rows:
            (tmp_path / "pictures" / f"{row.split(',')[0]}.png").touch()
        (tmp_path / "labels.csv").write_text("\n".join([header, *rows]))
        labels = [tmp_path / "labels.csv"]
        return read_labels(tmp_path / "pictures", labels, named, rules or LabelRules())

    return make


def grades(reading: LabelReading) -> list[int]:
    return [photograph.grade for photograph in reading.photographs]


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("image,level,adjudicated_dr_grade", "adjudicated_dr_grade"),
        ("image,diagnosis,final_icdr", "final_icdr"),
        ("image,DR_grade,DR_ICDR", "DR_ICDR"),
        ("image,patient_DR_Level,grade", "grade"),
        ("Name,note,Retinopathy grade", "Retinopathy grade"),
        ("image,DR_SDRG,level", "level"),  # not listed: the Scottish scale never competes
        ("image,risk of macular edema,dr_grade", "dr_grade"),
        ("image,quality,DR_grade", "DR_grade"),
    ],
)
def test_the_better_rank_wins_and_unlisted_names_never_compete(read, header, column):
    found = read(header, "a,4,2", "b,0,3")
    assert grades(found) == [2, 3]
    assert found.columns["grade"] == column


def test_columns_that_agree_by_value(read):
    found = read("image,level,diagnosis,label", "a,2,2.0,Moderate", "b,0,,No DR", "c,4,4,PDR")
    assert grades(found) == [2, 0, 4]
    assert found.columns["grade"] == "level"


def test_the_column_with_more_grades_is_taken_of_two_that_agree(read):
    found = read("image,level,diagnosis", "a,2,2", "b,,1")
    assert grades(found) == [2, 1]


def test_columns_that_disagree_are_named_with_the_flag(read):
    rows = ("a,2,2", "b,1,3", "c,0,1")
    with pytest.raises(UserError) as caught:
        read("image,level,diagnosis", *rows)
    said = str(caught.value)
    assert "level and diagnosis may both be the grade, and differ in 2 rows" in said
    assert "line 3: '1' and '3'" in said
    assert "--grade_column" in said
    assert grades(read("image,level,diagnosis", *rows, grade="diagnosis")) == [2, 3, 1]


def test_two_adjudicated_columns_that_disagree(read):
    with pytest.raises(UserError, match="DR_ICDR and adjudicated_dr_grade may both be"):
        read("image,level,DR_ICDR,adjudicated_dr_grade", "a,1,2,3")


def test_a_column_without_any_grade_does_not_compete(read):
    assert grades(read("image,class,label,level", "a,fundus,,2", "b,fundus,,0")) == [2, 0]
    assert grades(read("image,adjudicated_dr_grade,level", "a,,2", "b,,0")) == [2, 0]


EYES = "image,left_eye_DR_Level,right_eye_DR_Level,patient_DR_Level"


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        (EYES, ("1_l1,0,,3", "1_r1,,3,3", "2_l1,4,,4"), [0, 3, 4]),
        (EYES, ("1_l1,0,3,3", "1_r2,0,3,3"), [0, 3]),  # both filled: the name tells
        (EYES, ("10_left,1,2,2", "10_right,1,2,2"), [1, 2]),
        (EYES, ("7_OD_1,1,2,2", "7_OS_1,1,2,2"), [2, 1]),
        (EYES, ("a,1,,2", "b,,2,2", "c,3,3,4"), [1, 2, 3]),  # the eye is not known, nor needed
        (EYES.removesuffix(",patient_DR_Level"), ("1_l1,0,", "1_r1,,3"), [0, 3]),
        (f"{EYES},eye", ("x,0,3,3,OS", "y,0,3,3,OD"), [0, 3]),
        ("image,grade_od,grade_os,exam_eye", ("x,0,3,1", "y,0,3,2"), [0, 3]),
        ("image,DR level left,DR level right", ("1_l,2,1", "1_r,2,1"), [2, 1]),
        (f"{EYES},adjudicated_dr_grade", ("1_l1,0,3,3,2",), [2]),
        (f"{EYES},adjudicated_dr_grade", ("a,0,3,3,2",), [2]),  # the eye does not matter then
    ],
)
def test_the_eye_of_the_picture_decides(read, header, rows, expected):
    assert grades(read(header, *rows)) == expected


def test_both_eyes_differ_and_nothing_says_which_it_is(read):
    with pytest.raises(UserError, match=r"line 2: left_eye_DR_Level, right_eye_DR_Level differ"):
        read(EYES, "a,0,3,3")


def test_columns_per_eye_against_one_of_the_picture(read):
    with pytest.raises(UserError, match=r"may both be the grade.*--grade_column"):
        read(f"{EYES},level", "1_l1,0,3,3,3")


def test_the_eye_is_in_the_name_of_the_column():
    names = ["image", "od_dr_grade", "os_dr_grade", "left_disc", "right_disc", "left_eye_level"]
    (column,) = grade_positions(names)
    assert column.positions == {"right": 1, "left": 2}


@pytest.mark.parametrize("name", ["DR", "diagnosis", "label", "diabetic_retinopathy"])
def test_only_0_and_1_under_a_name_that_does_not_say_grade(read, name):
    rows = ("a,0", "b,1", "c,", "d,1.0")
    with pytest.raises(UserError, match=rf"{name} has only 0 and 1.*--class_names No_DR DR"):
        read(f"image,{name}", *rows)
    assert grades(read(f"image,{name}", *rows, grade=name)) == [0, 1, 1]
    rules = LabelRules(scale_of(("No_DR", "DR"), ()))
    assert grades(read(f"image,{name}", *rows, rules=rules)) == [0, 1, 1]


@pytest.mark.parametrize("name", ["level", "Retinopathy grade", "dr_stage", "severity", "DR_ICDR"])
def test_only_0_and_1_under_a_name_that_says_grade(read, name):
    assert grades(read(f"image,{name}", "a,0", "b,1")) == [0, 1]


def test_words_for_0_and_1_are_grades(read):
    assert grades(read("image,diagnosis", "a,No DR", "b,Mild")) == [0, 1]


def test_a_column_of_yes_and_no_gives_way_to_one_of_grades(read):
    assert grades(read("image,DR,diagnosis", "a,1,3", "b,0,0")) == [3, 0]
    assert grades(read("image,DR,diagnosis", "a,yes,3", "b,no,0")) == [3, 0]


def test_yes_and_no_in_words(read):
    with pytest.raises(UserError, match=r"line 2: 'yes' is not a grade.*--grade_map"):
        read("image,DR", "a,yes", "b,no")
    rules = LabelRules(scale_of(("No_DR", "DR"), ("no=No_DR", "yes=DR")))
    assert grades(read("image,DR", "a,yes", "b,no", rules=rules)) == [1, 0]


def test_one_eye_s_column_is_better_than_the_patient_s_and_worse_than_any_other():
    (best, patient) = grade_positions(["image", "left_eye_dr_level", "patient_dr_level"])
    assert (best.names, patient.names) == (("left_eye_dr_level",), ("patient_dr_level",))
    assert best.text("line 2", ["a", "3", "4"], "left") == "3"
    assert best.text("line 2", ["a", "3", "4"], "right") == ""
    with pytest.raises(UserError, match="is of one eye"):
        best.text("line 2", ["a", "3", "4"], "")
    (only,) = grade_positions(["image", "left_eye_dr_level", "level"])
    assert only.names == ("level",)


def test_an_eye_with_two_columns_is_refused():
    with pytest.raises(UserError, match="may both be the grade of the left eye"):
        grade_positions(["image", "left_grade", "right_grade", "left_grade"])


@pytest.mark.parametrize(
    ("labels", "rules"),
    [
        ({"l.csv": [("a", "0"), ("b", "1"), ("c", "9")]}, LabelRules(skip_ungraded=True)),
        ({"l.csv": [("a", "0"), ("b", "1"), ("c", "x")]}, LabelRules(scale_of((), ("x=-",)))),
        ({"train.csv": [("a", "0"), ("b", "1")], "test.csv": [("c", "3")]}, LabelRules()),
    ],
)
def test_yes_and_no_are_told_in_spite_of_what_is_beside_them(labels, rules, tmp_path):
    """A stray number, a label that is no grade, another file with grades."""
    images = tmp_path / "images"
    images.mkdir()
    for name in "abc":
        (images / f"{name}.jpg").write_bytes(b"")
    files = []
    for name, rows in labels.items():
        column = "grade" if name == "test.csv" else "DR"
        files.append(tmp_path / name)
        lines = [f"image,{column}", *(f"{image},{label}" for image, label in rows)]
        files[-1].write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="has only 0 and 1"):
        read_labels(images, files, {}, rules)
