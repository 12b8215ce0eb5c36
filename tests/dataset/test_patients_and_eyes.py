"""Patients and eyes inside file names."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from dr_ovo.dataset.patients_and_eyes import eye_in_name, patients_and_eyes_of
from dr_ovo.dataset.words import eye_of


def patients_by_name(stems):
    return patients_and_eyes_of([PurePosixPath(f"{stem}.jpg") for stem in stems])


@pytest.mark.parametrize(
    ("stem", "eye"),
    [
        ("1_l1", "left"), ("1_r2", "right"), ("10_left", "left"), ("10_right_2", "right"),
        ("1221_OD_f_3", "right"), ("1221-OS-3", "left"), ("P7.OI.1", "left"), ("P7 OE", "left"),
        ("P7_OG_2", "left"), ("OD_1221", "right"), ("12_L", "left"), ("12_R_aug3", "right"),
        ("IMG_OD_001", "right"), ("20051020_43808_0100_PP", ""), ("IDRiD_001", ""), ("left", ""),
        ("1_left_right", ""), ("1_OD_OS", ""), ("model_1", ""), ("000c1434d8d7", ""), ("001", ""),
    ],
)  # fmt: skip
def test_the_eye_in_a_name(stem, eye):
    assert eye_in_name(stem) == eye


def test_patients_with_a_few_pictures_each():
    stems = ["1221_OD_f_3", "1221_OS_f_1", "1222_OD_f_1", "OS_77", "OD_77", "x", "9_OD_aug3"]
    assert patients_by_name(stems) == [
        ("1221", "right"), ("1221", "left"), ("1222", "right"), ("77", "left"), ("77", "right"),
        ("", ""), ("9", "right"),
    ]  # fmt: skip
    deepdrid = [f"{patient}_{eye}{n}" for patient in (1, 2, 3) for eye in "lr" for n in (1, 2)]
    assert [patient for patient, _ in patients_by_name(deepdrid)] == list("111122223333")


@pytest.mark.parametrize(
    "stems",
    [
        [f"IMG_OD_{number:03}" for number in range(5)],
        ["IMG_OD_001", "IMG_OS_002"],
        ["unknown_OD_1", "unknown_OS_2"],
        [f"CAM1_OD_{number:03}" for number in range(30)],
        [f"CAM1_OD_{number}" for number in range(5)],
        [f"CAM{number % 3}_OS_{number}" for number in range(90)],
    ],
)
def test_what_many_pictures_share_is_no_patient(stems):
    assert {patient for patient, _ in patients_by_name(stems)} == {""}


def test_one_patient_with_many_pictures_among_others():
    stems = [f"{number}_OD_1" for number in range(200)] + [f"7_OS_{at}" for at in range(12)]
    found = patients_by_name(stems)
    assert found[-1] == ("7", "left")
    assert found[0] == ("0", "right")


@pytest.mark.parametrize(
    ("text", "column", "eye"),
    [
        ("OD", "", "right"), ("os", "", "left"), ("OI", "", "left"), ("OE", "", "left"),
        ("OG", "", "left"), ("O.D.", "", "right"), ("L", "", "left"), ("Right", "", "right"),
        ("1", "exam_eye", "right"), ("2", "Exam_Eye", "left"), ("2.0", "exam_eye", "left"),
        ("1", "eye", ""), ("3", "exam_eye", ""), ("up", "", ""), ("derecho", "", "right"),
    ],
)  # fmt: skip
def test_the_eye_in_a_cell(text, column, eye):
    assert eye_of(text, column) == eye
