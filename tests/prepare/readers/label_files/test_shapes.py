"""The shapes of label files: delimiters, header and title lines, encodings, spelling of cells."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

import pytest

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.csv_labels import LabelReading, LabelRules, read_labels

PICTURES = ("a.png", "b.png", "10_left.png", "007.png")


def read(folder: Path, *files: bytes | str, pictures=PICTURES, **named: str) -> LabelReading:
    """What files, `labels.csv` or several numbered ones, say of the pictures."""
    images = folder / "pictures"
    for name in pictures:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).touch()
    labels = []
    for number, content in enumerate(files):
        path = folder / (f"labels{number}.csv" if number else "labels.csv")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        labels.append(path)
    return read_labels(images, labels, named, LabelRules())


def grades(reading: LabelReading) -> dict[str, int]:
    return {photograph.name: photograph.grade for photograph in reading.photographs}


READ = {
    "semicolons and decimal commas": "image;level\na;2,0\nb;1,0\n",
    "decimal points": "image,level\na,2.0\nb,1.0\n",
    "decimal commas in quotes": 'image,level\na,"2,0"\nb,"1,0"\n',
    "tabs": "image\tlevel\na\t2\nb\t1\n",
    "pipes": "image|level\na|2\nb|1\n",
    "pipes with blanks": "image | level\na | 2\nb | 1\n",
    "runs of blanks": "image    level\na        2\nb        1\n",
    "blanks and tabs in line": "image \t level\na \t 2\nb \t 1\n",
    "sep=;": "sep=;\r\nimage;level\r\na;2\r\nb;1\r\n",
    "sep=, and more semicolons": 'sep=,\nimage,level,x\na,2,"q;r;s;t"\nb,1,"q;r;s;t"\n',
    '"sep=;" in quotes': '"sep=;"\nimage;level\na;2\nb;1\n',
    "sep=; with its own delimiter behind": "sep=;;\nimage;level\na;2\nb;1\n",
    "a title line": "Labels of the clinic, version 2\nimage,level\na,2\nb,1\n",
    "title lines and an empty one": "Labels of the clinic\nMay 2020;;\n\nimage;level\na;2\nb;1\n",
    "a comment": "# made by hand\nimage,level\na,2\nb,1\n",
    "a header with a number sign": "# image level\na 2\nb 1\n",
    "trailing delimiters everywhere": "image,level,,,\na,2,,,\nb,1,,,\n",
    "trailing delimiters in rows": "image,level\na,2,\nb,1,,\n",
    "quoted cells": '"image","level"\n"a","2"\n"b","1"\n',
    "cells in Excel's way": 'image,level\n="a",="2"\n"=""b""",1\n',
    "blank lines": "\n\nimage,level\n\na,2\n  ,\n\nb,1\n\n\n",
    "CRLF": "image,level\r\na,2\r\nb,1\r\n",
    "CR alone": "image,level\ra,2\rb,1\r",
    "blanks in cells": " image , level \n a , 2 \n b , 1 \n",
    "a line break in quotes": 'image,note,level\na,"two\nlines",2\nb,,1\n',
    "no header, comma": "a.png,2\nb.png,1\n",
    "no header, semicolon and decimal comma": "a.png;2,0\nb.png;1,0\n",
    "no header, blank": "a.png 2\nb.png 1\n",
    "no header, names without suffix": "a 2\nb 1\n",
    "no header, a number in front": "1,a.png,2,x\n2,b.png,1,x\n",
    "an index without a name": ",image,level\n0,a,2\n1,b,1\n",
    "R's row names without a header": '"image" "level"\n"1" "a" 2\n"2" "b" 1\n',
    "other case": "IMAGE,Level\na,2\nb,1\n",
    "other joints in names": "Image-ID,DR Grade\na,2\nb,1\n",
    "the scale behind the name": "image,DR grade (0-4)\na,2\nb,1\n",
    "an unknown eye": "image,level,eye\na,2,nan\nb,1,\n",
    "words": "image,level\na,Moderate NPDR\nb,mild non-proliferative DR\n",
    "number and word": "image,level\na,2 - Moderate NPDR\nb,1 (mild)\n",
    "paths of Windows": "image,level\nC:\\data\\a.png,2\nC:\\data\\b.png,1\n",
    "a column of numbers and one of names": "image_id,file_name,level\n10,a.png,2\n11,b.png,1\n",
    "UTF-8 with a byte order mark": codecs.BOM_UTF8 + b"image,level\na,2\nb,1\n",
    "marks inside, of files joined": "image,level\na,2\n\ufeffb,1\n",
    "UTF-16, little end": codecs.BOM_UTF16_LE + "image\tlevel\na\t2\nb\t1\n".encode("utf-16-le"),
    "UTF-16, big end": codecs.BOM_UTF16_BE + "image\tlevel\na\t2\nb\t1\n".encode("utf-16-be"),
    "unrelated columns of one name": "image,note,level,note\na,x,2,y\nb,x,1,y\n",
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_one_content_in_many_shapes(tmp_path, name):
    assert grades(read(tmp_path, READ[name])) == {"a.png": 2, "b.png": 1}


def test_names_with_blanks_in_a_list_of_blanks(tmp_path):
    text = "No DR/eye 1.png 0\nSevere/eye.png 3\n"
    found = read(tmp_path, text, pictures=("No DR/eye 1.png", "Severe/eye.png"))
    assert grades(found) == {"No DR/eye 1.png": 0, "Severe/eye.png": 3}


def test_positions_name_the_columns_of_a_list(tmp_path):
    text = "a.png,2,0\nb.png,1,4\n"
    with pytest.raises(UserError, match=r"2 of its 3 columns look like grades.*--grade_column 2"):
        read(tmp_path, text)
    assert grades(read(tmp_path, text, grade="3")) == {"a.png": 0, "b.png": 4}
    pictures = ("1.png", "3.png")
    found = read(tmp_path, "1 2\n3 4\n", pictures=pictures, image="1", grade="2")
    assert grades(found) == {"1.png": 2, "3.png": 4}


STOPPED = {
    "a column twice": ("image,level,level\na,2,2\n", r"the column level stands there 2 times"),
    "twice in other case": ("image,level,Level\na,2,1\n", r"column level stands there 2 times"),
    "decimal commas between commas": (
        "image,level\na,2,0\nb,1,0\n", r"line 2: has 3 cells, and there are 2 columns",
    ),
    "an open quotation mark": ('image,level\na,2\n"b,1\n', r"can't be read as CSV.*quotation mark"),
    "one column": ("image\na\nb\n", r"its lines have one cell only"),
    "nothing": ("", r"has no rows"),
    "JSON": ('{"a.png": 2, "b.png": 1}', r"it is JSON, HTML or XML"),
    "a page": ("<html><td>image</td>,<td>level</td></html>", r"it is JSON, HTML or XML"),
    "NUL": (b"image,level\na,2\0\n", r"NUL characters"),
    "UTF-16 without a mark": ("image,level\na,2\n".encode("utf-16-le"), r"NUL characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", STOPPED)
def test_a_shape_that_is_stopped(tmp_path, name):
    text, said = STOPPED[name]
    with pytest.raises(UserError, match=said):
        read(tmp_path, text)


MISSPELLED = {
    "lost leading zeros": ("7", ("007.png",), r"only by lost leading zeros \(7 is 007\.png\)"),
    "lost zeros inside": ("IMG_7", ("IMG_007.png",), r"only by lost leading zeros"),
    ".0": ("10.0", ("10.png",), r"only by a \.0 at the end \(10\.0 is 10\.png\)"),
    "zeros and .0": ("7.0", ("007.png",), r"only by lost leading zeros and a \.0 at the end"),
    "case": ("EYE_1", ("eye_1.png",), r"only by letter case \(EYE_1 is eye_1\.png\)"),
    "suffix": ("eye.gif", ("eye.png",), r"only by the suffix \(eye\.gif is eye\.png\)"),
    "NFC and NFD": (
        unicodedata.normalize("NFC", "\u00e9"), (unicodedata.normalize("NFD", "\u00e9.png"),),
        r"accented letters \(NFC or NFD\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSPELLED)
def test_names_that_differ_by_spelling_alone(tmp_path, name):
    cell, pictures, said = MISSPELLED[name]
    with pytest.raises(UserError, match=rf"names 1 images that are not in .*{said}") as caught:
        read(tmp_path, f"image,level\n{cell},2\n", pictures=pictures)
    assert "--skip_missing" in str(caught.value)


def test_pictures_that_are_really_absent_are_not_called_misspelled(tmp_path):
    with pytest.raises(UserError, match=r"names 2 images") as caught:
        read(tmp_path, "image,level\na,1\nx,2\ny,3\n")
    assert "differ" not in str(caught.value)


def test_each_kind_of_spelling_is_counted(tmp_path):
    text = "image,level\n7,1\nA,2\nB,2\nx,3\n"
    with pytest.raises(UserError, match=r"names 4 images") as caught:
        read(tmp_path, text)
    assert "1 of them differ from a picture there only by lost leading zeros" in str(caught.value)
    assert "2 of them differ from a picture there only by letter case" in str(caught.value)


def test_no_grade_in_a_cell_is_left_out_with_the_reason(tmp_path):
    cells = ("", "nan", "NaN", "-", "N/A", "ungradable", "Not gradable", "?", "#N/A", "<NA>")
    rows = "".join(f"p{number},{cell}\n" for number, cell in enumerate(cells))
    pictures = ("a.png", *(f"p{number}.png" for number in range(len(cells))))
    found = read(tmp_path, f"image,level\na,2\n{rows}", pictures=pictures)
    assert grades(found) == {"a.png": 2}
    assert [drop.reason for drop in found.dropped] == [
        f"has '{cell}' as grade in labels.csv" if cell else "has no grade in labels.csv"
        for cell in cells
    ]


@pytest.mark.parametrize("word", ["0", "0.0", "no", "No", "FALSE", "ungradable"])
def test_a_gradable_column_that_says_no(tmp_path, word):
    text = f"image,level,gradable\na,2,1\nb,3,{word}\n10_left,0,yes\n007,1,\n"
    found = read(tmp_path, text)
    assert grades(found) == {"a.png": 2, "10_left.png": 0, "007.png": 1}
    assert [drop.reason for drop in found.dropped] == [
        "is ungradable by the column gradable of labels.csv"
    ]
    assert len(read(tmp_path, text, gradable="none").photographs) == 4


def test_a_row_called_ungradable_may_say_anything_as_grade(tmp_path):
    found = read(tmp_path, "image,level,gradable\na,2,1\nb,9,0\n10_left,R1,0\n")
    assert grades(found) == {"a.png": 2}


def test_files_with_columns_of_their_own(tmp_path):
    found = read(tmp_path, "image,level\na,2\n", "id_code;diagnosis\nb;4\n")
    assert grades(found) == {"a.png": 2, "b.png": 4}
    assert found.columns == {"image": "image, id_code", "grade": "level, diagnosis"}


def test_a_picture_in_two_files_counts_once_or_is_stopped(tmp_path):
    found = read(tmp_path, "image,level\na,2\n", "image,level\na,2.0\nb,1\n")
    assert grades(found) == {"a.png": 2, "b.png": 1}
    assert any("repeats an earlier one" in remark for remark in found.remarks)
    with pytest.raises(UserError, match=r"labels1\.csv line 2: a is already in .*labels\.csv lin"):
        read(tmp_path, "image,level\na,2\n", "image,level\na,3\n")
