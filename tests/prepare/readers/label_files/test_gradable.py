"""Columns that say whether a picture can be graded: words, several of them, unused ones."""

from __future__ import annotations

import pytest

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.label_files.gradable import says_ungradable

PICTURES = ["a.png", "b.png", "c.png"]


def grades(reading) -> dict[str, int]:
    return {photograph.name: photograph.grade for photograph in reading.photographs}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *((text, True) for text in ("0", "0.0", "No", "FALSE", "bad", "ungradable", "Reject")),
        *(
            (text, False)
            for text in ("1", "1.0", "yes", "TRUE", "Good", "gradable", "", "nan", "-")
        ),
        *((text, None) for text in ("maybe", "2", "-1", "0.5", "borderline", "x", "yes and no")),
    ],
)
def test_what_a_cell_says(text, says):
    assert says_ungradable(text) is says


def test_words_that_are_neither_stop_once_and_name_the_flag(read_set):
    text = "image,level,gradable\na,0,yes\nb,1,maybe\nc,2,2\n"
    with pytest.raises(UserError) as caught:
        read_set({"l.csv": text}, PICTURES)
    said = str(caught.value)
    assert "line 3: 'maybe' in the column gradable" in said
    assert "'maybe' 1, '2' 1" in said
    assert "--gradable_column none" in said
    assert grades(read_set({"l.csv": text}, PICTURES, gradable="none")) == {
        "a.png": 0, "b.png": 1, "c.png": 2,
    }  # fmt: skip


def test_each_of_several_columns_counts(read_set):
    text = "image,level,gradable,adjudicated_gradable\na,0,1,1\nb,1,0,1\nc,2,1,0\n"
    found = read_set({"l.csv": text}, PICTURES)
    assert grades(found) == {"a.png": 0}
    assert [drop.reason for drop in found.dropped] == [
        f"is ungradable by the column {name} of l.csv"
        for name in ("gradable", "adjudicated_gradable")
    ]
    assert found.columns["gradable"] == "gradable, adjudicated_gradable"
    named = read_set({"l.csv": text}, PICTURES, gradable="adjudicated_gradable")
    assert grades(named) == {"a.png": 0, "b.png": 1}


@pytest.mark.parametrize("name", ["ungradable", "quality", "Overall quality", "final_quality"])
def test_a_column_of_quality_that_is_not_used_is_said(read_set, name):
    found = read_set({"l.csv": f"image,level,{name}\na,0,0\nb,1,1\nc,2,1\n"}, PICTURES)
    assert len(found.photographs) == 3
    assert any(remark.startswith(f"Not used: {name}. ") for remark in found.remarks)


def test_a_column_of_quality_that_is_named_is_used(read_set):
    text = "image,level,quality\na,0,Reject\nb,1,Good\nc,2,Usable\n"
    found = read_set({"l.csv": text}, PICTURES, gradable="quality")
    assert grades(found) == {"b.png": 1, "c.png": 2}
    assert not any(remark.startswith("Not used") for remark in found.remarks)
