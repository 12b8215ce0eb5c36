"""Patients and eyes in the file names of public sets and clinics, each set judged as a whole."""

from __future__ import annotations

import re
import time
from pathlib import PurePosixPath

import pytest

from dr_ovo.dataset.patients_and_eyes import (
    eye_in_name,
    patients_and_eyes_of,
    patients_of_files,
)

L, R = "left", "right"
P, ES, SIX = range(1000, 1030), ("OD", "OS"), range(1, 7)
BOTH = (("OD", R), ("OS", L))


def named(pattern: str, patients=range(1000, 1030), eyes=BOTH, pictures=(1, 2), patient="{p}"):
    """name -> patient and eye for a set named by a pattern of {p}, {e} and {n}."""
    return {
        pattern.format(p=p, e=word, n=n): (patient.format(p=p, n=n), eye)
        for p in patients
        for word, eye in eyes
        for n in pictures
    }


FEW = 8  # photographs of one patient: four of each eye


def by_name(stems):
    return patients_and_eyes_of([PurePosixPath(f"{stem}.jpg") for stem in stems])


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
    "short site": named("S1_{p}_{e}") | named("S2_{p}_{e}"),  # or session: in doubt one patient
    "sites by word": named("site1_{p}_{e}", patient="site1_{p}")
    | named("site2_{p}_{e}", patient="site2_{p}"),
    "site, eye, patient": named("S1_{e}_{p}", patient="S1_{p}"),
    "site and patient": named("S1_P{p}_{e}_{n}", patient="P{p}"),
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
    assert dict(zip(expected, by_name(list(expected)), strict=True)) == expected


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_order_of_the_names_does_not_matter(scheme):
    names = sorted(SCHEMES[scheme], reverse=True)
    assert by_name(names) == [SCHEMES[scheme][name] for name in names]


def test_letter_case_and_separators_do_not_split_a_patient():
    names = ["P12_OD_1", "p12_os_1", "P12-OS-2", "P13_OD_1", "S1-7_OD", "S1_7_OS"]
    found = [patient for patient, _ in by_name(names)]
    assert found[:4] == ["P12", "P12", "P12", "P13"]
    assert found[4] == found[5] != ""


def test_a_large_set_has_no_giant_patient():
    """A crowd of pictures shares the first part in each; none of them may be a patient."""
    for crowd in ("S1", "7", "CAM", "2020", "R2", "x9y"):
        for pattern in ("{c}_{e}_{n:04}", "{c}_{n:04}_{e}", "{e}_{c}_{n:04}", "{c}{e}_{n:04}"):
            names = [pattern.format(c=crowd, e=e, n=n) for n in range(200) for e in ("OD", "OS")]
            found = [patient for patient, _ in by_name(names)]
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
        (("OD/0/P7_1", "OS/P7_1", "OD/P8_1"), ("P7", "P7", "P8")),
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


FEW_PATIENTS = {
    "12 patients, 12 pictures": [f"P{p:02}_{e}_{n}" for p in range(12) for e in ES for n in SIX],
    "visits": [f"P{p:02}_V{n}_{e}" for p in range(15) for e in ES for n in SIX],
    "visits without separator": [f"P{p:02}V{n}_{e}" for p in range(15) for e in ES for n in SIX],
    "dates": [f"P{p:02}_{e}_2020010{n}" for p in range(15) for e in ES for n in SIX],
    "dates, bare numbers": [f"{p}_2020010{n}_{e}" for p in range(4) for e in ES for n in SIX],
    "many follow-ups of one": [
        f"{p:02}_{e}_{n}" for p in range(40) for e in ES for n in range(30 if p == 7 else 1)
    ],
    "eye first": [f"{e}_{p:02}_{n}" for p in range(19) for e in ES for n in SIX],
    "words": [f"{p}_{e}_{n}" for p in range(10) for e in ("left", "right") for n in SIX],
    "numbers like dates": [
        f"{p}_{n}_{e}" for p in range(200101, 200129) for e in ES for n in (1, 2)
    ],
    "exam numbers": [f"P{p:02}_{4000 + 9 * p + n}_{e}" for p in range(9) for e in ES for n in SIX],
    "frames": [f"P{p:02}_{e}_{n:03}" for p in range(5) for e in ES for n in range(60)],
    **{
        f"{count} patients": [f"P{p:02}_{e}_{n}" for p in range(count) for e in ES for n in SIX]
        for count in (1, 2, 4, 10, 19)
    },
    "folder": [f"{p:03}/{n}_{e}" for p in range(9) for e in ES for n in SIX],
    "folder, visit": [f"P{p:03}/visit{n}/{e}" for p in range(9) for e in ES for n in SIX],
    "folder, coded visit": [f"{p:03}/V{n}/{e}_1" for p in range(9) for e in ES for n in SIX],
    "folder, date": [f"{p:03}/2020010{n}/{e}_1" for p in range(9) for e in ES for n in SIX],
    "folder, date, name of the camera": [
        f"{p:03}/2020010{n}/IMG_{21000 + p * 37 + n * 11 + at}_{e}"
        for p in range(9) for at, e in enumerate(ES) for n in SIX
    ],
    "folder of person in one folder": [
        f"study2/{p}/{e}_{n}" for p in ("Ada Lee", "Ben", "Cleo") for e in ES for n in SIX
    ],
    "folder, eye, visit": [f"{p:03}/{e}/visit{n}/1" for p in range(9) for e in ES for n in SIX],
}  # fmt: skip
# The patient is the number of three or four digits before or behind the eye.
IN_FRONT = {
    "field": [f"F{n}_{p}_{e}" for p in P for e in ES for n in (1, 2, 3)],
    "field behind the eye": [f"{e}_F{n}_{p}" for p in P for e in ES for n in (1, 2)],
    "grade": [f"{(p * 7 + at) % 5}_{p}_{e}" for p in P for at, e in enumerate(ES)],
    "grade in words": [
        f"{('No_DR', 'mild', 'PDR')[(p + at) % 3]}_{p}_{e}" for p in P for at, e in enumerate(ES)
    ],
    "split": [f"{s}_{p}_{e}" for p in P for s, e in zip(("train", "val"), ES, strict=True)],
    "American date": [f"01-{n}-2020_{p}_{e}" for p in P for e in ES for n in (13, p % 10 + 14)],
    "date and time": [f"2020-01-10_10-{n}-33_{p}_{e}" for p in P for e in ES for n in (15, 42)],
    "short date": [f"20013{n}_{p}_{e}" for p in P for e in ES for n in (0, 1)],
    "T between": [f"20200131T10{n}33_{p}_{e}" for p in P for e in ES for n in (15, 42)],
    "one number": [f"2020013110{n}33_{p}_{e}" for p in P for e in ES for n in (15, 42)],
    "name of the month": [f"{n}Jan2020_{p}_{e}" for p in P for e in ES for n in (30, 31)],
    "year": [f"{n}_{p}_{e}" for p in P for e in ES for n in (2019, 2020)],
    "month": [f"M{n:02}_{p}_{e}" for p in P for e in ES for n in (0, 6, 12)],
    "week": [f"Week{n}_{p}_{e}" for p in P for e in ES for n in (0, 12)],
    "camera": [f"CAM{n}_{p}_{e}" for p in P for e in ES for n in (1, 2)],
    "any word": [f"{n}_{p}_{e}" for p in P for e in ES for n in ("pre", "post")],
    "folder of field": [f"{n}/{p}_{e}" for p in P for e in ES for n in ("F1", "F2")],
    "folder of a kind": [f"{n}/{p}_{e}" for p in P for e in ES for n in ("raw", "clahe")],
}  # fmt: skip


def numbers_of_three(place):
    return re.search(r"(?<!\d)(1\d\d\d)(?!\d)", place)[1]


@pytest.mark.parametrize("scheme", FEW_PATIENTS)
def test_patients_with_many_pictures_are_not_cut(scheme):
    """The first number in a place is its patient, or the folder of the person."""
    places = FEW_PATIENTS[scheme]
    true = [re.search(r"Ada Lee|Ben|Cleo|\d+", re.sub("study2|OD_|OS_", "", place))[0]
            for place in places]  # fmt: skip
    found = patients_of_files([PurePosixPath(f"{place}.jpg") for place in places])
    assert len(set(zip(true, found, strict=True))) == len(set(true)) == len({*found} - {""})


@pytest.mark.parametrize("scheme", IN_FRONT)
def test_what_is_in_front_of_all_patients_is_none(scheme):
    places = IN_FRONT[scheme]
    found = patients_of_files([PurePosixPath(f"{place}.jpg") for place in places])
    assert found == [numbers_of_three(place) for place in places]


@pytest.mark.parametrize(
    "others", [("macula",), ("disc", "nasal"), ("OU",), ("left_right",), ("OU_2", "20200101_x")]
)
def test_pictures_without_an_eye_belong_to_their_patient(others):
    places = [f"{p}_{word}" for p in P for word in ("left", "right", *others)]
    found = by_name(places)
    assert [patient for patient, _ in found] == [place[:4] for place in places]
    assert {eye for place, (_, eye) in zip(places, found, strict=True) if place[5:] in others} == {
        ""
    }


def test_a_picture_without_an_eye_in_the_folder_of_a_patient():
    places = [f"P{p}/visit{n}/{k}" for p in P for n in (1, 2) for k in ("OD", "OS", "macula")]
    assert by_name(places) == [
        (place[:5], {"OD": R, "OS": L}.get(place[13:], "")) for place in places
    ]


@pytest.mark.parametrize("letters", ["LMH", "RGB", ("re", "raw")])
def test_kinds_are_no_eyes(letters):
    places = [f"{p}_{kind}" for p in P for kind in letters]
    assert by_name(places) == [(place[:4], "") for place in places]
    with_both = by_name([f"{p}_{kind}" for p in P for kind in "LRM"])
    assert with_both[:3] == [("1000", L), ("1000", R), ("1000", "")]


@pytest.mark.parametrize(
    ("left", "right"),
    [("LA", "RA"), ("SX", "DX"), ("O.S.", "O.D."), ("\u5de6\u773c", "\u53f3\u773c"),
     ("\u5de6", "\u53f3")],
)  # fmt: skip
@pytest.mark.parametrize("pattern", ["{p}_{e}", "{p}-{e}-1", "{p}/{e}_1"])
def test_eyes_in_other_languages(left, right, pattern):
    places = [pattern.format(p=p, e=e) for p in P for e in (left, right)]
    assert by_name(places) == [(str(p), eye) for p in P for eye in (L, R)]


def test_words_that_are_eyes_in_pairs_are_none_alone():
    assert {eye for _, eye in by_name([f"{p}_DX" for p in P])} == {""}


def test_large_sets_are_quick():
    """A quarter of the names of EyePACS; a search that compares all with all takes minutes."""
    names = [f"{p}_{e}" for p in range(11_000) for e in (L, R)]
    begun = time.process_time()
    found = by_name(names)
    assert len({patient for patient, _ in found}) == 11_000
    assert time.process_time() - begun < 10
