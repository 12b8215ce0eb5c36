"""What file names say of copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from dr_ovo.audit.findings import LEAK, WARNING, Photograph
from dr_ovo.audit.names import name_findings, original_of


@pytest.mark.parametrize(
    ("stem", "original"),
    [
        ("10_left_aug", "10_left"),
        ("10_left_aug3", "10_left"),
        ("10_left_aug_12", "10_left"),
        ("10_left-flip", "10_left"),
        ("10_left_rot90deg", "10_left"),
        ("10_left_hflip_bright", "10_left"),
        ("aug_3_10_left", "10_left"),
        ("Copy of eye", "eye"),
        ("eye - Copy", "eye"),
        ("eye copy 2", "eye"),
        ("augmented_eye", "eye"),
        ("IDRiD_test_001", None),
        ("10_left", None),
        ("20051020_43808_0100_PP", None),
        ("0a4e1a29ffff", None),
        ("007-0004-000", None),
        ("august_2019", None),
        ("copyright", None),
        ("eye (1)", None),
    ],
)
def test_the_original_of_a_name(stem, original):
    assert original_of(stem) == original


def photograph(file: str) -> Photograph:
    split, grade, _ = file.split("/")
    return Photograph(Path(file), file, split, grade)


def findings(*files: str) -> list[tuple[str, list[str]]]:
    found = name_findings([photograph(file) for file in files])
    return [(f.severity, [p.file for p in f.photographs]) for f in found]


def test_a_copy_and_its_picture_in_two_splits():
    assert findings("train/1/a_aug1.jpg", "test/1/a.jpg", "test/1/b.jpg") == [
        (LEAK, ["train/1/a_aug1.jpg", "test/1/a.jpg"])
    ]


def test_two_copies_of_an_absent_picture():
    assert findings("train/1/a_aug1.jpg", "val/1/a_aug2.jpg") == [
        (LEAK, ["train/1/a_aug1.jpg", "val/1/a_aug2.jpg"])
    ]


def test_copies_within_train_and_those_of_absent_pictures_are_warnings():
    assert findings("train/1/a_flip.jpg", "train/1/a.jpg", "train/1/b_aug.jpg") == [
        (WARNING, ["train/1/a_flip.jpg", "train/1/a.jpg"]),
        (WARNING, ["train/1/b_aug.jpg"]),
    ]


def test_brackets_count_only_beside_their_picture():
    assert findings("train/0/dr (1).jpg", "test/0/dr (2).jpg") == []
    assert findings("train/0/dr (1).jpg", "test/0/dr.jpg") == [
        (LEAK, ["train/0/dr (1).jpg", "test/0/dr.jpg"])
    ]
