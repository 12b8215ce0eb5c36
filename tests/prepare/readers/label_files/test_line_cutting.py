"""Lists with blanks between the cells: names of pictures with blanks in them."""

from __future__ import annotations

import unicodedata

import pytest

from dr_ovo.errors import UserError

PICTURES = [f"my pic {number}.jpg" for number in range(4)]
ACCENTED = "ojo \u00e9 0.jpg"


def grades(reading) -> dict[str, int]:
    return {photograph.name: photograph.grade for photograph in reading.photographs}


LISTS = {
    "no header": "my pic {0}.jpg {0}\n",
    "without suffixes": "my pic {0} {0}\n",
    "a number in front": "{0} my pic {0}.jpg {0}\n",
    "the grade in front": "{0} my pic {0}.jpg\n",
    "runs of blanks": "my pic {0}.jpg   {0}\n",
    "paths of elsewhere": "/data/my set/my pic {0}.jpg {0}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_the_grade_is_what_the_name_leaves(read_set, name):
    text = "".join(LISTS[name].format(number) for number in range(4))
    found = read_set({"list.txt": text}, PICTURES)
    assert grades(found) == {name: number for number, name in enumerate(PICTURES)}


@pytest.mark.parametrize("header", ["image level", "Image name level", "# image level"])
def test_a_header_above_names_with_blanks(read_set, header):
    rows = "".join(f"my pic {number}.jpg {number}\n" for number in range(4))
    found = read_set({"list.txt": f"{header}\n{rows}"}, PICTURES)
    assert grades(found) == {name: number for number, name in enumerate(PICTURES)}


def test_more_cells_behind_the_name(read_set):
    text = "".join(f"my pic {number}.jpg {number} 1\n" for number in range(4))
    found = read_set({"list.txt": text}, PICTURES, grade="2")
    assert grades(found) == {name: number for number, name in enumerate(PICTURES)}


def test_names_of_different_length(read_set):
    pictures = ["No DR/a b.jpg", "Mild/c.jpg", "d e f.jpg", "g.jpg"]
    text = "".join(f"{name} {grade}\n" for grade, name in enumerate(pictures))
    found = read_set({"list.txt": text}, pictures)
    assert grades(found) == {name: grade for grade, name in enumerate(pictures)}


def test_the_longer_of_two_pictures_is_meant(read_set):
    text = "".join(f"eye {number}.jpg {number}\n" for number in range(3))
    pictures = [f"{name}{number}.jpg" for name in ("", "eye ") for number in range(3)]
    assert grades(read_set({"list.txt": text}, pictures)) == {
        f"eye {number}.jpg": number for number in range(3)
    }


def test_a_number_before_a_path_is_no_part_of_it(read_set):
    text = "1 b/eye.png 2\n2 a/pic.png 0\n"
    found = read_set({"list.txt": text}, ["b/eye.png", "a/pic.png"])
    assert grades(found) == {"b/eye.png": 2, "a/pic.png": 0}


def test_a_missing_name_is_told_whole(read_set):
    picture = unicodedata.normalize("NFD", ACCENTED)
    with pytest.raises(UserError, match=rf": {ACCENTED}\. 1 of them .* \(NFC or NFD\)"):
        read_set({"list.txt": f"{ACCENTED} 1\n"}, [picture])


def test_numbers_as_numpy_writes_them(read_set):
    found = read_set({"list.txt": "a.png 2.000000e+00\nb.png 0.000000e+00\n"}, ["a.png", "b.png"])
    assert grades(found) == {"a.png": 2, "b.png": 0}
