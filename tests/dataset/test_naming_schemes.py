"""Patients and eyes in the file names of public sets and clinics, each set judged as a whole."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from dr_ovo.dataset.naming.patients import FEW
from dr_ovo.dataset.patients_and_eyes import eye_in_name, patients_by_name, patients_of_files

L, R = "left", "right"
BOTH = (("OD", R), ("OS", L))


def named(pattern: str, patients=range(1000, 1030), eyes=BOTH, pictures=(1, 2), patient="{p}"):
    """name -> patient and eye for a set named by a pattern of {p}, {e} and {n}."""
    return {
        pattern.format(p=p, e=word, n=n): (patient.format(p=p, n=n), eye)
        for p in patients
        for word, eye in eyes
        for n in pictures
    }


def none(*names: str):
    return dict.fromkeys(names, ("", ""))


SCHEMES = {
    "EyePACS": named("{p}_{e}", eyes=((L, L), (R, R))),
    "EyePACS, one part more": named("{p}_{e}_{n}", eyes=((L, L), (R, R))),
    "ODIR": named("{p}_{e}", range(30), eyes=((L, L), (R, R))),
    "DeepDRiD": named("{p}_{e}{n}", range(1, 40), eyes=(("l", L), ("r", R))),
    "DeepDRiD, one eye": named("{p}_{e}{n}", (1, 2, 3), eyes=(("l", L),)),
    "picture, kind": named("{p}_{e}_f_{n}"),
    "Spanish": named("{p}_{e}_{n}", eyes=(("OD", R), ("OI", L))),
    "Portuguese": named("{p}-{e}-{n}", eyes=(("OD", R), ("OE", L))),
    "French": named("{p} {e} {n}", eyes=(("OD", R), ("OG", L))),
    "RE and LE": named("{p}_{e}_{n}", eyes=(("RE", R), ("LE", L))),
    "letter and number apart": named("P{p}_{e}_{n}", eyes=(("R", R), ("L", L)), patient="P{p}"),
    "word patient apart": named("patient_{p}_{e}{n}", patient="patient_{p}"),
    "date behind": named("P{p}_2020010{n}_{e}", patient="P{p}"),
    "date in front": named("2020010{n}_{p}_{e}"),
    "date with hyphens": named("2020-01-0{n}_{p}_{e}"),
    "German date": named("{p}_0{n}.01.2020_{e}"),
    "ids that are dates": named("{p}_{e}_{n}", (20200101, 20200102, 20200103)),
    "hyphens": named("{p}-{e}-{n}"),
    "spaces": named("{p} {e} {n}"),
    "points": named("P{p}.{e}.{n}", patient="P{p}"),
    "lower case": named("p{p}_{e}_{n}", eyes=(("od", R), ("os", L)), patient="p{p}"),
    "camel case": named("P{p}{e}Eye{n}", eyes=(("Left", L), ("Right", R)), patient="P{p}"),
    "no separators": named("{p}{e}{n}"),
    "no separators, words": named("{p}{e}", eyes=((L, L), (R, R))),
    "no separators, letters": named("{p}{e}", eyes=(("L", L), ("R", R))),
    "eye first": named("{e}_{p}"),
    "eye first, pictures": named("{e}_{p}_{n}"),
    "eye first, no separator": named("{e}{p}_{n}"),
    "eye first, letters": named("{e}_{p}_{n}", eyes=(("L", L), ("R", R))),
    "eye first, letters, one eye of each": named("R_{p}_{n}", eyes=(("R", R),))
    | named("L_{p}_{n}", range(2000, 2030), eyes=(("L", L),)),
    "eye first, patient": named("{e}_P{p}_{n}", patient="P{p}"),
    "left_eye": named("{p}_{e}_eye_{n}", eyes=((L, L), (R, R))),
    "picture before the eye": named("{p}_{n}_{e}"),
    "site of letters": named("clinic_{p}_{e}", range(30), patient="clinic_{p}"),
    "site with number": named("site3_{p}_{e}", range(30), patient="site3_{p}"),
    "site number apart": named("site_3_{p}_{e}", range(30), patient="site_3_{p}"),
    "short site": named("S1_{p}_{e}", patient="S1_{p}") | named("S2_{p}_{e}", patient="S2_{p}"),
    "site, eye, patient": named("S1_{e}_{p}", patient="S1_{p}"),
    "site and patient": named("S1_P{p}_{e}_{n}", patient="S1_P{p}"),
    "visit in front": named("V{n}_P{p}_{e}", patient="P{p}"),
    "grade in front": named("grade{n}_{p}_{e}"),
    "year in front": named("2021_{p}_{e}", patient="2021_{p}"),
    "series": named("P{p}_{e}_{n:03}", pictures=range(20), patient="P{p}"),
    "series of few patients": named(
        "patient{p}_{e}_{n}", (1, 2, 3), pictures=range(9), patient="patient{p}"
    ),
    "series of long numbers": named("{p}_{e}_{n:02}", range(1221, 1233), pictures=range(20)),
    "people": {
        f"Doe_{first}_{word}_{n}": (f"Doe_{first}", eye)
        for first in ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gil", "Hugo", "Ida", "Jo", "Kim")
        for word, eye in BOTH
        for n in (1, 2)
    },
    "date and time": named("20200101_10{p}_{e}", patient="20200101_10{p}"),
    "serial number in front": {
        f"{2 * p + at:05}_{p}_{word}": (str(p), eye)
        for p in range(1000, 1030)
        for at, (word, eye) in enumerate(BOTH)
    },
    "copies": named("{p}_{e}_{n}_aug3"),
    # Nothing in these names is both eye and patient.
    "Messidor": none("20051020_43808_0100_PP", "20051020_43832_0100_PP", "20051021_39222_0100_PP"),
    "BRSET": none(*(f"img{n:05}" for n in range(1, 40))),
    "FIVES": none(*(f"{n}_{kind}" for n in range(1, 40) for kind in "ADGN")),
    "IDRiD": none(*(f"IDRiD_{n:03}" for n in range(1, 40))),
    "APTOS": none("000c1434d8d7", "001639a390f0", "0024cdab0c1e", "002c21358ce6"),
    "DDR": none("007-0001-000", "007-0002-000", "007-0004-100"),
    "counter behind the eye": none(*(f"IMG_OD_{n:03}" for n in range(40))),
    "running counter": none(*(f"IMG_{'OD' if n % 2 else 'OS'}_{n:03}" for n in range(40))),
    "counter of a site": none(*(f"S1_OD_{n:03}" for n in range(40))),
    "counter of a camera": none(*(f"CAM2_OD_{n:04}" for n in range(6))),
    "counter of three sites": none(*(f"site{n % 3}_OS_{n:04}" for n in range(12))),
    "grades in front": none(*(f"R{n % 4}_{n:04}" for n in range(40))),
    "grades behind": none(*(f"{n:04}_R{n % 4}" for n in range(40))),
    "grades of maculopathy": none(*(f"{n:04}_R{n % 4}M{n % 2}" for n in range(40))),
    "red channel": none(*(f"R_{n:04}" for n in range(40))),
    "codes": none(*(f"{n}xk{n * n}od{n}q" if n < 3 else f"{n}xk{n * n}" for n in range(40))),
    "one camera": none(*(f"L1_{n:04}" for n in range(40))),
    "unknown": none("unknown_OD_1", "unknown_OS_1", "unknown_OD_2"),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_name_of_a_set(scheme):
    expected = SCHEMES[scheme]
    assert dict(zip(expected, patients_by_name(list(expected)), strict=True)) == expected


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_order_of_the_names_does_not_matter(scheme):
    names = sorted(SCHEMES[scheme], reverse=True)
    assert patients_by_name(names) == [SCHEMES[scheme][name] for name in names]


def test_letter_case_and_separators_do_not_split_a_patient():
    names = ["P12_OD_1", "p12_os_1", "P12-OS-2", "P13_OD_1", "S1-7_OD", "S1_7_OS"]
    found = [patient for patient, _ in patients_by_name(names)]
    assert found[:4] == ["P12", "P12", "P12", "P13"]
    assert found[4] == found[5] != ""


def test_a_large_set_has_no_giant_patient():
    """A crowd of pictures shares the first part in each; none of them may be a patient."""
    for crowd in ("S1", "7", "CAM", "2020", "R2", "x9y"):
        for pattern in ("{c}_{e}_{n:04}", "{c}_{n:04}_{e}", "{e}_{c}_{n:04}", "{c}{e}_{n:04}"):
            names = [pattern.format(c=crowd, e=e, n=n) for n in range(200) for e in ("OD", "OS")]
            found = [patient for patient, _ in patients_by_name(names)]
            most = max((found.count(patient) for patient in {*found} - {""}), default=0)
            assert most <= FEW, pattern


@pytest.mark.parametrize(
    ("stem", "eye"),
    [
        ("R0_0004", ""), ("L1_0004", ""), ("IMG_R1_0004", ""), ("1_r0", R), ("12LeftEye", L),
        ("OD1221_1", R), ("1221OS", L), ("P7_RE_2", R), ("R1_12_OS", L), ("2020-01-31_OD", R),
        ("12L", ""), ("model12", ""), ("code_od3", R),
    ],
)  # fmt: skip
def test_the_eye_in_a_single_name(stem, eye):
    assert eye_in_name(stem) == eye


@pytest.mark.parametrize(
    ("files", "patients"),
    [
        (("10_left", "10_right", "x"), ("10", "10", "")),
        (("P7/left", "P7/right", "P8/left"), ("P7", "P7", "P8")),
        (("P7/OD_1", "P7/OS_1", "P8/OD_1"), ("P7", "P7", "P8")),
        (("P7/OD/1", "P7/OS/1", "P8/OD/1"), ("P7", "P7", "P8")),
        (("OD/0/P7_1", "OS/P7_1", "OD/P8_1"), ("", "P7", "P8")),
        (("left/10", "right/10", "left/11"), ("10", "10", "11")),
        (("Smith_left", "Smith_right", "unknown_left"), ("Smith", "Smith", "")),
        (("a_7_left", "a_7_right", "a_8_left"), ("a_7", "a_7", "a_8")),
        (("test/left", "2/right"), ("", "")),
    ],
)  # fmt: skip
def test_patients_by_folders(files, patients):
    assert patients_of_files([PurePosixPath(f"{file}.jpg") for file in files]) == list(patients)


def test_a_folder_of_many_is_no_patient():
    files = [PurePosixPath(f"batch{n % 2}/OD_{n}_{k}.jpg") for n in range(40) for k in (1, 2)]
    assert patients_of_files(files) == [str(n) for n in range(40) for _ in (1, 2)]
