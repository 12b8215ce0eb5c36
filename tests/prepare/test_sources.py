"""Patients and eyes of the photographs of any source."""

from __future__ import annotations

from pathlib import Path

from dr_ovo.dataset.patients_and_eyes import patient_and_eye
from dr_ovo.dataset.photograph import Photograph
from dr_ovo.prepare.file_names import placed_names
from dr_ovo.prepare.sources import with_eyes_in_names, with_patients

EYES = ("OD", "OS")


def test_patients_by_the_names_that_photographs_get():
    """`left.jpg` repeats, so `0/left.jpg` becomes `0_left.jpg`, which means patient 0."""
    names = ("0/left.jpg", "0/right.jpg", "1/left.jpg", "1/right.jpg", "1/alone.jpg")
    found = [Photograph(Path(name), name, 0) for name in names]
    named = with_patients(found, placed_names(found, shrunken=False))
    assert [(one.patient, one.eye) for one in named] == [
        ("0", "left"), ("0", "right"), ("1", "left"), ("1", "right"), ("", ""),
    ]  # fmt: skip


def test_what_is_known_better_stays():
    found = [Photograph(Path("a_left.jpg"), "a_left.jpg", 0, patient="P7", eye="right")]
    assert with_patients(found, ["a_left.jpg"]) == found


def by_names(names, patient="", *, listed=False):
    found = [Photograph(Path(name), name, 0, patient=patient) for name in names]
    return [(one.patient, one.eye) for one in with_eyes_in_names(found, listed=listed)]


def test_patients_by_all_names_together():
    names = [f"OD_{patient}_{n}.jpg" for patient in (1221, 1222) for n in (1, 2)]
    assert by_names(names) == [
        ("1221", "right"), ("1221", "right"), ("1222", "right"), ("1222", "right"),
    ]  # fmt: skip
    folders = by_names(["0/P7/OD_1.jpg", "0/P7/OS_1.jpg", "1/P8/OD_1.jpg"])
    assert [patient for patient, _ in folders] == ["P7", "P7", "P8"]


def test_all_names_know_better_than_one_and_a_column_better_than_names():
    names = ["7_1_left.jpg", "7_2_left.jpg", "8_1_left.jpg"]
    found = [Photograph(Path(name), name, 0, patient=name[:3], eye="left") for name in names]
    for listed, patients in ((False, ["7", "7", "8"]), (True, ["7_1", "7_2", "8_1"])):
        named = with_eyes_in_names(found, listed=listed)
        assert [one.patient for one in named] == patients
    assert {patient for patient, _ in by_names(names, "P7")} == {"P7"}


def test_a_visit_or_date_around_the_file_is_no_patient():
    """Readers see one name and its folder only; all names together know better."""
    names = [f"P{p:03}/{v}/{e}.jpg" for p in range(9) for v in ("V1", "V2") for e in ("OD", "OS")]
    found = [
        Photograph(Path(name), name, 0, patient=name.split("/")[1], eye="right") for name in names
    ]
    named = with_eyes_in_names(found, listed=False)
    assert [one.patient for one in named] == [name[:4] for name in names]
    assert patient_and_eye("OD", "", "visit5") == ("", "")
    assert patient_and_eye("OD", "", "2020-01-31") == ("", "")
    assert patient_and_eye("OD", "", "7_20200131") == ("7", "right")


def test_folders_of_grades_of_any_name_are_no_patients():
    names = [f"train/R{(p + at) % 4}/{e}_{p}_1.jpg" for p in range(9) for at, e in enumerate(EYES)]
    found = [Photograph(Path(name), name, 0) for name in names]
    named = with_eyes_in_names(found, listed=False, in_grades=True)
    assert [one.patient for one in named] == [str(p) for p in range(9) for _ in EYES]
