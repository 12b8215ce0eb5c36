"""Label files in the shapes in which public sets are published, some rows of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.csv_labels import LabelReading, LabelRules, read_labels
from dr_ovo.prepare.readers.grade_map import scale_of

PLAIN = LabelRules()


@dataclass(frozen=True)
class PublicSet:
    """Files by name with their text, pictures, and what is read: picture -> grade, and the rest."""

    files: dict[str, str]
    pictures: tuple[str, ...]
    grades: dict[str, int]
    columns: dict[str, str]
    splits: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    eyes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    rules: LabelRules = PLAIN


SETS = {
    "EyePACS": PublicSet(
        {"trainLabels.csv": "image,level\n10_left,0\n10_right,0\n13_left,4\n"},
        ("10_left.jpeg", "10_right.jpeg", "13_left.jpeg"),
        {"10_left.jpeg": 0, "10_right.jpeg": 0, "13_left.jpeg": 4},
        {"image": "image", "grade": "level"},
        patients=("10", "10", "13"),
        eyes=("left", "right", "left"),
    ),
    "EyePACS, the test set's solution": PublicSet(
        {"retinopathy_solution.csv": "image,level,Usage\n1_left,0,Private\n1_right,2,Public\n"},
        ("1_left.jpeg", "1_right.jpeg"),
        {"1_left.jpeg": 0, "1_right.jpeg": 2},
        {"image": "image", "grade": "level"},
    ),
    "EyeQ": PublicSet(
        {
            "Label_EyeQ_train.csv": (
                ",image,quality,DR_grade\n0,10_left.jpeg,1,0\n1,15_left.jpeg,2,3\n"
            ),
            "Label_EyeQ_test.csv": ",image,quality,DR_grade\n0,1_left.jpeg,1,4\n",
        },
        ("10_left.jpeg", "15_left.jpeg", "1_left.jpeg"),
        {"10_left.jpeg": 0, "15_left.jpeg": 3, "1_left.jpeg": 4},
        {"image": "image", "grade": "DR_grade"},
        splits=("train", "train", "test"),
    ),
    "APTOS 2019": PublicSet(
        {"train.csv": "id_code,diagnosis\n000c1434d8d7,2\n001639a390f0,4\n"},
        ("000c1434d8d7.png", "001639a390f0.png"),
        {"000c1434d8d7.png": 2, "001639a390f0.png": 4},
        {"image": "id_code", "grade": "diagnosis"},
        splits=("", ""),
    ),
    "IDRiD": PublicSet(
        {
            "a. IDRiD_Disease Grading_Training Labels.csv": (
                "Image name,Retinopathy grade,Risk of macular edema ,,,,,,,\r\n"
                "IDRiD_001,3,2,,,,,,,\r\nIDRiD_002,0,0,,,,,,,\r\n"
            ),
            "b. IDRiD_Disease Grading_Testing Labels.csv": (
                "Image name,Retinopathy grade,Risk of macular edema \r\nIDRiD_001,4,0\r\n"
            ),
        },
        (
            "1. Original Images/a. Training Set/IDRiD_001.jpg",
            "1. Original Images/a. Training Set/IDRiD_002.jpg",
            "1. Original Images/b. Testing Set/IDRiD_001.jpg",
        ),
        {
            "1. Original Images/a. Training Set/IDRiD_001.jpg": 3,
            "1. Original Images/a. Training Set/IDRiD_002.jpg": 0,
            "1. Original Images/b. Testing Set/IDRiD_001.jpg": 4,
        },
        {"image": "Image name", "grade": "Retinopathy grade"},
        splits=("train", "train", "test"),
    ),
    "Messidor-1, two of its sheets saved as CSV": PublicSet(
        {
            "Annotation_Base11.csv": (
                "Image name;Ophthalmologic department;Retinopathy grade;Risk of macular edema \n"
                "20051019_38557_0100_PP.tif;Service Ophtalmologie Lariboisiere;3;1\n"
            ),
            "Annotation_Base12.csv": (
                "Image name;Ophthalmologic department;Retinopathy grade;Risk of macular edema \n"
                "20051020_43808_0100_PP.tif;Service Ophtalmologie Lariboisiere;0;0\n"
            ),
        },
        ("Base11/20051019_38557_0100_PP.tif", "Base12/20051020_43808_0100_PP.tif"),
        {"Base11/20051019_38557_0100_PP.tif": 3, "Base12/20051020_43808_0100_PP.tif": 0},
        {"image": "Image name", "grade": "Retinopathy grade"},
        splits=("", ""),
    ),
    "Messidor-2": PublicSet(
        {
            "messidor_data.csv": (
                "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable\n"
                "20051020_43808_0100_PP.png,0,0,1\nIM000001.jpg,2.0,1,1\nIM000002.jpg,,,0\n"
                "IM000003.jpg,1,0,0\n"
            )
        },
        ("20051020_43808_0100_PP.png", "IM000001.JPG", "IM000002.JPG", "IM000003.JPG"),
        {"20051020_43808_0100_PP.png": 0, "IM000001.JPG": 2},
        {
            "image": "image_id",
            "gradable": "adjudicated_gradable",
            "grade": "adjudicated_dr_grade",
        },
        dropped=(
            "IM000002.JPG has no grade in messidor_data.csv",
            "IM000003.JPG is ungradable by the column adjudicated_gradable of messidor_data.csv",
        ),
    ),
    "DDR, its list of all": PublicSet(
        {"DR_grading.csv": "id_code,diagnosis\n007-0001-000.jpg,0\n007-0004-100.jpg,5\n"
         "007-0007-100.jpg,4\n"},
        ("007-0001-000.jpg", "007-0004-100.jpg", "007-0007-100.jpg"),
        {"007-0001-000.jpg": 0, "007-0007-100.jpg": 4},
        {"image": "id_code", "grade": "diagnosis"},
        dropped=(
            "007-0004-100.jpg has '5' as grade in DR_grading.csv, which is outside the scale",
        ),
        rules=LabelRules(skip_ungraded=True),
    ),
    "DDR, a list per split": PublicSet(
        {
            "train.txt": "007-0001-000.jpg 0\n007-0004-100.jpg 1\n",
            "valid.txt": "007-0007-100.jpg 4\n",
            "test.txt": "007-0009-100.jpg 2\n",
        },
        (
            "train/007-0001-000.jpg", "train/007-0004-100.jpg", "valid/007-0007-100.jpg",
            "test/007-0009-100.jpg",
        ),
        {
            "train/007-0001-000.jpg": 0, "train/007-0004-100.jpg": 1, "valid/007-0007-100.jpg": 4,
            "test/007-0009-100.jpg": 2,
        },
        {"image": "1", "grade": "2"},
        splits=("train", "train", "val", "test"),
    ),
    "DeepDRiD": PublicSet(
        {
            "regular-fundus-training.csv": (
                "patient_id,image_id,image_path,Overall quality,left_eye_DR_Level,"
                "right_eye_DR_Level,patient_DR_Level,Clarity,Field definition,Artifact\n"
                "1,1_l1,\\1\\1_l1.jpg,1,0.0,,1,8,8,1\n1,1_l2,\\1\\1_l2.jpg,1,0.0,,1,8,8,1\n"
                "1,1_r1,\\1\\1_r1.jpg,1,,1.0,1,8,8,1\n1,1_r2,\\1\\1_r2.jpg,1,,1.0,1,8,8,1\n"
            )
        },
        tuple(f"Images/1/1_{name}.jpg" for name in ("l1", "l2", "r1", "r2")),
        {
            "Images/1/1_l1.jpg": 0, "Images/1/1_l2.jpg": 0, "Images/1/1_r1.jpg": 1,
            "Images/1/1_r2.jpg": 1,
        },
        {
            "image": "image_id",
            "patient": "patient_id",
            "grade": "left_eye_DR_Level, right_eye_DR_Level",
        },
        patients=("1",) * 4,
        eyes=("left", "left", "right", "right"),
    ),
    "FGADR": PublicSet(
        {"DR_Seg_Grading_Label.csv": "0000_1.png,3\n0001_2.png,2\n0002_1.png,0\n"},
        ("0000_1.png", "0001_2.png", "0002_1.png"),
        {"0000_1.png": 3, "0001_2.png": 2, "0002_1.png": 0},
        {"image": "1", "grade": "2"},
    ),
    "BRSET": PublicSet(
        {
            "labels_brset.csv": (
                "image_id,patient_id,camera,patient_age,comorbidities,diabetes_time_y,insuline,"
                "patient_sex,exam_eye,diabetes,nationality,optic_disc,vessels,macula,DR_SDRG,"
                "DR_ICDR,focus,iluminaton,image_field,artifacts,diabetic_retinopathy,"
                "macular_edema\n"
                'img00001,1,Canon CR,48.0,"diabetes, hypertension",12,1,1,1,yes,Brazil,1,1,1,2,3,'
                "1,1,1,1,1,0\n"
                "img00002,1,Canon CR,48.0,diabetes1,12,1,1,2,yes,Brazil,1,1,1,0,0,1,1,1,1,0,0\n"
            )
        },
        ("img00001.jpg", "img00002.jpg"),
        {"img00001.jpg": 3, "img00002.jpg": 0},
        {"image": "image_id", "patient": "patient_id", "eye": "exam_eye", "grade": "DR_ICDR"},
        patients=("1", "1"),
        eyes=("right", "left"),
    ),
    "mBRSET": PublicSet(
        {
            "labels_mbrset.csv": (
                "patient,age,sex,dm_time,file,laterality,final_artifacts,final_quality,final_icdr,"
                "final_edema\n"
                "1,72,0,20,1.1.jpg,right,no,yes,2,no\n1,72,0,20,1.2.jpg,right,no,yes,2,no\n"
                "1,72,0,20,1.3.jpg,left,no,yes,0,no\n2,58,1,,2.1.jpg,right,yes,no,,\n"
            )
        },
        ("1.1.jpg", "1.2.jpg", "1.3.jpg", "2.1.jpg"),
        {"1.1.jpg": 2, "1.2.jpg": 2, "1.3.jpg": 0},
        {"image": "file", "patient": "patient", "eye": "laterality", "grade": "final_icdr"},
        patients=("1", "1", "1"),
        eyes=("right", "right", "left"),
        dropped=("2.1.jpg has no grade in labels_mbrset.csv",),
    ),
    "GDRBench lists": PublicSet(
        {
            "APTOS_train.txt": (
                "APTOS/nodr/00a8624548a9.png 0\nAPTOS/mild_npdr/0024cdab0c1e.png 1\n"
            ),
            "APTOS_crossval.txt": "APTOS/pdr/002c21358ce6.png 4\n",
        },
        (
            "APTOS/nodr/00a8624548a9.png", "APTOS/mild_npdr/0024cdab0c1e.png",
            "APTOS/pdr/002c21358ce6.png",
        ),
        {
            "APTOS/nodr/00a8624548a9.png": 0, "APTOS/mild_npdr/0024cdab0c1e.png": 1,
            "APTOS/pdr/002c21358ce6.png": 4,
        },
        {"image": "1", "grade": "2"},
        splits=("train", "train", "val"),
    ),
    "RFMiD, as two classes": PublicSet(
        {"RFMiD_Training_Labels.csv": "ID,Disease_Risk,DR,ARMD,MH\n1,1,1,0,0\n2,1,0,1,0\n"},
        ("1.png", "2.png"),
        {"1.png": 1, "2.png": 0},
        {"image": "ID", "grade": "DR"},
        rules=LabelRules(scale_of(("No_DR", "DR"), ())),
    ),
}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    """Writes the files of a set; returns a reader of them."""

    def make(files: dict[str, str], pictures: tuple[str, ...]):
        images = tmp_path / "pictures"
        for name in pictures:
            (images / name).parent.mkdir(parents=True, exist_ok=True)
            (images / name).write_bytes(name.encode())
        for name, text in files.items():
            (tmp_path / name).write_bytes(text.encode())
        labels = [tmp_path / name for name in files]

        def read(rules: LabelRules = PLAIN, **named: str) -> LabelReading:
            return read_labels(images, labels, named, rules)

        return read

    return make


@pytest.mark.parametrize("name", SETS)
def test_a_public_set_as_downloaded(written, name):
    one = SETS[name]
    reading = written(one.files, one.pictures)(one.rules)
    found = reading.photographs
    assert {photograph.name: photograph.grade for photograph in found} == one.grades
    assert reading.columns == one.columns
    assert tuple(f"{drop.file} {drop.reason}" for drop in reading.dropped) == one.dropped
    for field in ("splits", "patients", "eyes"):
        if expected := getattr(one, field):
            assert tuple(getattr(p, field.removesuffix("s")) for p in found) == expected


REFUSED = {
    "RFMiD says whether there is a retinopathy": (
        {"RFMiD_Training_Labels.csv": "ID,Disease_Risk,DR,ARMD\n1,1,1,0\n2,1,0,1\n"},
        ("1.png", "2.png"),
        r"DR has only 0 and 1.*--class_names No_DR DR.*--grade_column",
    ),
    "DDR has ungradable pictures": (
        {"DR_grading.csv": "id_code,diagnosis\na.jpg,0\nb.jpg,5\nc.jpg,5\n"},
        ("a.jpg", "b.jpg", "c.jpg"),
        r"line 3: '5' is not a grade .*label: '5' 2\).*--skip_ungraded",
    ),
    "ODIR has a row per patient, and diseases": (
        {
            "full_df.csv": "ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus,"
            "Left-Diagnostic Keywords,Right-Diagnostic Keywords,N,D,G,C,A,H,M,O,filepath,labels,"
            "target,filename\n0,69,Female,0_left.jpg,0_right.jpg,cataract,normal fundus,0,0,0,1,0,"
            "0,0,0,x,['N'],\"[1, 0, 0, 0, 0, 0, 0, 0]\",0_right.jpg\n"
        },
        ("0_left.jpg", "0_right.jpg"),
        r"no column of grades under a usual name.*--grade_column",
    ),
    "EyePACS lacks pictures": (
        {"trainLabels.csv": "image,level\n10_left,0\n10_right,0\n"},
        ("10_left.jpeg",),
        r"names 1 images that are not in .*: 10_right\..*--skip_missing",
    ),
    "IDRiD's test set, whose folder is not there": (
        {
            "a. IDRiD_Disease Grading_Training Labels.csv": (
                "Image name,Retinopathy grade\nIDRiD_001,3\nIDRiD_002,2\n"
            ),
            "b. IDRiD_Disease Grading_Testing Labels.csv": (
                "Image name,Retinopathy grade\nIDRiD_001,4\n"
            ),
        },
        ("a. Training Set/IDRiD_001.jpg", "a. Training Set/IDRiD_002.jpg"),
        r"IDRiD_001 is already in .*each split in a folder of its own",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_public_set_that_is_stopped(written, name):
    files, pictures, said = REFUSED[name]
    with pytest.raises(UserError, match=said):
        written(files, pictures)()


def test_naming_the_column_reads_yes_and_no_as_grades(written):
    files, pictures, _ = REFUSED["RFMiD says whether there is a retinopathy"]
    reading = written(files, pictures)(grade="DR")
    assert [photograph.grade for photograph in reading.photographs] == [1, 0]


def test_missing_pictures_are_left_out_and_listed(written):
    files, pictures, _ = REFUSED["EyePACS lacks pictures"]
    reading = written(files, pictures)(LabelRules(skip_missing=True))
    assert [photograph.name for photograph in reading.photographs] == ["10_left.jpeg"]
    assert [(drop.file, drop.kind) for drop in reading.dropped] == [("10_right", "missing")]


@pytest.mark.parametrize("file", ["labels.xlsx", "labels.xls", "labels.ods"])
def test_a_spreadsheet(written, file):
    with pytest.raises(UserError, match="save the sheet as CSV"):
        written({file: "PK"}, ("a.png",))()


@pytest.mark.parametrize("file", ["trainLabels.csv.zip", "labels.tar.gz", "labels.7z"])
def test_an_archive(written, file):
    with pytest.raises(UserError, match="unpack it"):
        written({file: "PK"}, ("a.png",))()


def test_a_spreadsheet_and_an_archive_by_their_content(tmp_path, written):
    read = written({"labels.csv": ""}, ("a.png",))
    for content, said in (
        (b"PK\x03\x04" + b"0" * 26 + b"[Content_Types].xml", "save the sheet"),
        (b"PK\x03\x04" + b"0" * 26 + b"trainLabels.csv", "unpack it"),
        (b"\xd0\xcf\x11\xe0", "save the sheet"),
    ):
        (tmp_path / "labels.csv").write_bytes(content)
        with pytest.raises(UserError, match=said):
            read()
    assert isinstance(tmp_path, Path)
