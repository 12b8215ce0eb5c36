"""Copies recognised by their file names."""

from __future__ import annotations

import pytest

from dr_ovo.dataset.copy_names import families, original_of


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


def found(*files: str, alike=()) -> list[tuple[str, tuple[int, ...], bool]]:
    return [(one.base, one.members, one.sure) for one in families(files, alike)]


def test_a_picture_and_its_copies_wherever_they_lie():
    files = ("train/1/a10_aug0.jpg", "test/1/a10.jpg", "val/b.jpg", "val/1/a10 (2).png")
    assert found(*files) == [("a10", (0, 1, 3), True)]


def test_brackets_count_only_beside_their_picture():
    assert found("dr (1).jpg", "dr (2).jpg") == []


@pytest.mark.parametrize("base", ["7", "007", "1234567", "ab"])
def test_a_name_that_tells_little_needs_a_look_alike(base):
    files = (f"test/1/flip_{base}.jpg", f"train/1/{base}.jpg", f"train/1/{base}_aug.jpg")
    assert found(*files) == [(base, (0, 1, 2), False)]
    assert found(*files, alike=[(1, 2)]) == [(base, (0, 1, 2), True)]
    assert found(*files, "x.jpg", alike=[(1, 3)]) == [(base, (0, 1, 2), False)]
    through_another = found(*files, "x.jpg", alike=[(1, 3), (3, 2)])
    assert through_another == [(base, (0, 1, 2), True)]


def test_a_name_that_many_files_bear_is_no_picture():
    files = [f"patient{number}/fundus.jpg" for number in range(4)]
    assert found(*files, "patient0/fundus_aug.jpg") == [("fundus", (0, 1, 2, 3, 4), False)]
    assert found(*files[:3], "patient0/fundus_aug.jpg") == [("fundus", (0, 1, 2, 3), True)]


def test_a_long_series_of_numbers_in_brackets_is_no_family_of_copies():
    files = ["train/1/eye.jpg", *(f"train/1/eye ({n}).jpg" for n in range(1, 22))]
    ((_, members, sure),) = found(*files, alike=[(3, 4)])
    assert (len(members), sure) == (22, False)
    ((_, members, sure),) = found(*files[:21])
    assert (len(members), sure) == (21, True)
