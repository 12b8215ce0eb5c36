"""Findings on file names that mark copies."""

from __future__ import annotations

from pathlib import Path

from dr_ovo.audit.checks.names import name_findings
from dr_ovo.audit.findings import LEAK, WARNING, Photograph
from dr_ovo.copies.near_duplicates import Pair


def photograph(file: str) -> Photograph:
    split, grade, _ = file.split("/")
    return Photograph(Path(file), file, split, grade)


def findings(*files: str, pairs=()) -> list[tuple[str, list[str]]]:
    found = name_findings([photograph(file) for file in files], pairs)
    return [(f.severity, [p.file for p in f.photographs]) for f in found]


def test_a_copy_and_its_picture_in_two_splits():
    assert findings("train/1/eye7_aug1.jpg", "test/1/eye7.jpg", "test/1/b.jpg") == [
        (LEAK, ["train/1/eye7_aug1.jpg", "test/1/eye7.jpg"])
    ]


def test_two_copies_of_an_absent_picture():
    assert findings("train/1/eye7_aug1.jpg", "val/1/eye7_aug2.jpg") == [
        (LEAK, ["train/1/eye7_aug1.jpg", "val/1/eye7_aug2.jpg"])
    ]


def test_copies_within_train_and_those_of_absent_pictures_are_warnings():
    assert findings("train/1/eye7_flip.jpg", "train/1/eye7.jpg", "train/1/b_aug.jpg") == [
        (WARNING, ["train/1/eye7_flip.jpg", "train/1/eye7.jpg"]),
        (WARNING, ["train/1/b_aug.jpg"]),
    ]


def test_brackets_count_only_beside_their_picture():
    assert findings("train/0/dr1 (1).jpg", "test/0/dr1 (2).jpg") == []
    assert findings("train/0/dr1 (1).jpg", "test/0/dr1.jpg") == [
        (LEAK, ["train/0/dr1 (1).jpg", "test/0/dr1.jpg"])
    ]


def test_a_number_is_no_name_without_a_look_alike():
    files = ("test/1/flip_7.jpg", "train/1/7.jpg")
    assert findings(*files) == [(WARNING, list(files))]
    assert findings(*files, pairs=[Pair(0, 1, 0.9, False, "flipped")]) == [(LEAK, list(files))]
