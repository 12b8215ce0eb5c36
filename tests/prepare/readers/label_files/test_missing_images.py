"""Pictures that are named and not there: in another folder, or spelled otherwise."""

from __future__ import annotations

import os
import unicodedata

import pytest

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.label_files.missing_images import missing_words

CLINIC = "Cl\u00ednica"


@pytest.mark.parametrize(
    ("cell", "picture", "images", "said"),
    [
        ("test/p1.jpg", "train/p1.jpg", "set", r"in another folder \(test/p1\.jpg: there is set/"),
        ("test/p1", "train/p1.jpg", "set", r"in another folder \(test/p1: there is set/train/p1"),
        ("train/p1.jpg", "p1.jpg", "testing", r"folder \(train/p1\.jpg: there is testing/p1\.jpg"),
        ("test/P1.jpg", "train/p1.jpg", "set", r"only by letter case and the folder \(test/P1"),
        ("x/P1.jpg", "p1.jpg", "set", r"only by letter case \(x/P1\.jpg is p1\.jpg\)"),
        ("Train/P1.jpg", "train/p1.jpg", "set", r"only by letter case \(Train/P1"),
        (
            f"{CLINIC}/p1.jpg", unicodedata.normalize("NFD", f"{CLINIC}/p1.jpg"), "set",
            r"only by the form of accented letters \(NFC or NFD\) \(\w+/p1",
        ),
    ],
)  # fmt: skip
def test_where_a_missing_picture_is(read_set, cell, picture, images, said):
    with pytest.raises(UserError, match=rf"names 1 images that are not in .*{said}"):
        read_set({"l.csv": f"image,level\n{cell},2\n"}, [picture], images=images)


def test_of_two_alike_the_one_in_the_named_folder_is_told():
    said = missing_words(["b/EYE.jpg"], ["a/eye.jpg", "b/eye.jpg"], "set")
    assert (
        said == "1 of them differ from a picture there only by letter case (b/EYE.jpg is eye.jpg)"
    )


def test_pictures_in_another_folder_are_counted_apart():
    missing, present = ["x/1.png", "x/2.png", "x/A.png", "q.png"], ["y/1.png", "y/2.png", "x/a.png"]
    said = missing_words(missing, present, "set").split("; ")
    assert [part.split(" ", 1)[0] for part in said] == ["2", "1"]
    assert "another folder" in said[0]
    assert "letter case" in said[1]


def test_what_is_there_and_no_photograph_is_counted_by_kind(read_set, tmp_path):
    (tmp_path / "pictures" / "dir.jpg").mkdir(parents=True)
    os.mkfifo(tmp_path / "pictures" / "pipe.jpg")
    names = ["pipe.jpg", "x.heic", "y.heic", "dir.jpg", "gone.jpg"]
    text = "image,level\n" + "".join(f"{name},1\n" for name in names)
    with pytest.raises(UserError) as refused:
        read_set({"l.csv": text}, ["x.heic", "y.heic", "a.jpg"])
    said = str(refused.value)
    assert "1 of them is there, but a pipe or device (pipe.jpg: there is pipe.jpg);" in said
    assert "2 of them are there, but in a format that is not read (x.heic: there is x.heic)" in said
    assert "1 of them is there, but a folder (dir.jpg: there is dir.jpg); photographs are" in said
