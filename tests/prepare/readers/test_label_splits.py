"""Several label files: which split each is, and which picture a repeated name means."""

from __future__ import annotations

import pytest

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.csv_labels import LabelReading, LabelRules, read_labels


@pytest.fixture
def read(tmp_path):
    """Reads files by name, each with the rows of its text; pictures by their path."""

    def make(files: dict[str, str], pictures: list[str], **named: str) -> LabelReading:
        for name in pictures:
            path = tmp_path / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        labels = [tmp_path / name for name in files]
        return read_labels(tmp_path / "pictures", labels, named, LabelRules())

    return make


def splits(reading: LabelReading) -> dict[str, str]:
    return {photograph.name: photograph.split for photograph in reading.photographs}


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "valid.csv", "test.csv"),
        ("trainLabels.csv", "valLabels.csv", "testLabels.csv"),
        ("DR_grading_train.csv", "DR_grading_valid.csv", "DR_grading_test.csv"),
        ("regular-fundus-training.csv", "regular-fundus-validation.csv", "x_TESTING.csv"),
        ("a. Training Labels.csv", "b. Validation Labels.csv", "c. Testing Labels.csv"),
        ("train_1.csv", "dev.csv", "test_set.csv"),
        ("train/labels.csv", "val/labels.csv", "test/labels.csv"),
    ],
)
def test_the_split_from_the_name_of_the_file(read, names):
    files = {name: f"image,level\n{at},{at}\n" for at, name in enumerate(names)}
    found = read(files, ["0.png", "1.png", "2.png"])
    assert splits(found) == {"0.png": "train", "1.png": "val", "2.png": "test"}
    assert set(splits(read(files, [], split="none")).values()) == {""}


def test_a_single_file_and_files_of_one_split_are_no_official_split(read):
    assert splits(read({"train.csv": "image,level\na,0\n"}, ["a.png", "b.png"])) == {"a.png": ""}
    files = {"train_A.csv": "image,level\na,0\n", "train_B.csv": "image,level\nb,0\n"}
    assert set(splits(read(files, [])).values()) == {""}


def test_a_column_of_splits_wins_over_the_name(read):
    files = {
        "train.csv": "image,level,split\na,0,val\n",
        "test.csv": "image,level,split\nb,0,test\n",
    }
    assert splits(read(files, ["a.png", "b.png"])) == {"a.png": "val", "b.png": "test"}


def test_a_name_without_a_split_among_others(read):
    files = {"train.csv": "image,level\na,0\n", "more.csv": "image,level\nb,0\n"}
    with pytest.raises(UserError, match=r"more\.csv does not say.*--split_column none"):
        read(files, ["a.png", "b.png"])


@pytest.mark.parametrize("folders", [("a. Training Set", "b. Testing Set"), ("train", "test")])
def test_a_name_of_two_splits_is_matched_by_the_folder(read, folders):
    pictures = [f"{folder}/IDRiD_001.jpg" for folder in folders]
    files = {
        "a. Training.csv": "Image name,Retinopathy grade\nIDRiD_001,1\n",
        "b. Testing.csv": "Image name,Retinopathy grade\nIDRiD_001,3\n",
    }
    found = read(files, pictures)
    assert [(p.name, p.grade, p.split) for p in found.photographs] == [
        (pictures[0], 1, "train"), (pictures[1], 3, "test"),
    ]  # fmt: skip


def test_a_single_file_too_is_matched_by_the_folder(read):
    pictures = ["a. Training Set/1.jpg", "b. Testing Set/1.jpg"]
    found = read({"b. Testing Labels.csv": "image,level\n1,3\n"}, pictures)
    assert splits(found) == {pictures[1]: ""}


def test_a_column_of_splits_tells_folders_apart_too(read):
    pictures = ["train/1.jpg", "test/1.jpg"]
    found = read({"l.csv": "image,level,split\n1,0,train\n1,4,test\n"}, pictures)
    assert [(p.name, p.grade) for p in found.photographs] == [("train/1.jpg", 0), ("test/1.jpg", 4)]


def test_pictures_in_the_folder_of_another_split_are_named(read):
    found = read({"testLabels.csv": "image,level\n1,3\n"}, ["a. Training Set/1.jpg"])
    assert any("1 row of testLabels.csv labels a picture in a folder" in r for r in found.remarks)
