"""A label CSV and a folder of photographs: columns found by name, errors with line numbers."""

from pathlib import Path

import pytest

from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.csv_labels import LabelRules, read_labels


def read(
    images: Path, labels: Path, named: dict[str, str]
) -> tuple[list[Photograph], list[Dropped], list[str]]:
    """What one label file says, with the rules that count without a flag."""
    reading = read_labels(images, [labels], named, LabelRules())
    return reading.photographs, reading.dropped, reading.remarks


@pytest.fixture
def raw(tmp_path):
    """Writes the files and the CSV; returns (folder, CSV)."""

    def make(header: str, rows: list[str], files: list[str]) -> tuple[Path, Path]:
        images = tmp_path / "images"
        images.mkdir()
        for name in files:
            (images / name).parent.mkdir(parents=True, exist_ok=True)
            (images / name).write_bytes(name.encode())
        labels = tmp_path / "labels.csv"
        labels.write_text("\n".join([header, *rows]), encoding="utf-8")
        return images, labels

    return make


def facts(one: Photograph) -> tuple[str, int, str, str, str, str]:
    return one.name, one.grade, one.patient, one.eye, one.group, one.split


@pytest.mark.parametrize(
    ("header", "row", "file", "expected"),
    [
        ("image,level", "10_left,0", "a/10_left.jpeg", (0, "10", "left", "", "")),
        ("id_code,diagnosis", "000c,2", "000c.png", (2, "", "", "", "")),
        (
            "Image name,Retinopathy grade,Risk of macular edema ,,,",
            "IDRiD_001.jpg,3,0,,,",
            "IDRiD_001.JPG",
            (3, "", "", "", ""),
        ),
        (
            "image_id,adjudicated_dr_grade,adjudicated_gradable",
            "IM1.JPG,1.0,1",
            "IM1.png",
            (1, "", "", "", ""),
        ),
        (
            "file,grade,patient_id,eye,set",
            "x/a.png,4,P7,OD,Training",
            "x/a.png",
            (4, "P7", "right", "", "train"),
        ),
        ("image;level;split", "3_right;1;valid", "3_right.tif", (1, "3", "right", "", "val")),
        ("\ufeffimage,level,SPLIT", r".\x\a.png,0,testing", "x/a.png", (0, "", "", "", "test")),
    ],
)
def test_usual_columns_and_names(raw, header, row, file, expected):
    found, ungraded, remarks = read(*raw(header, [row, ""], [file]), {})
    assert [facts(one) for one in found] == [(file, *expected)]
    assert [one.source for one in found] == [file]
    assert (ungraded, remarks) == ([], [])


def test_named_columns_win_over_usual_ones(raw):
    named = {
        "image": "shot", "grade": "Consensus", "patient": "who", "eye": "none", "group": "visit",
        "split": "fold",
    }  # fmt: skip
    header = "image,level,shot,consensus,patient,who,eye,visit,split,fold"
    found, _, _ = read(*raw(header, ["b,0,a,3,x,y,left,v1,test,dev"], ["a.png"]), named)
    assert [facts(one) for one in found] == [("a.png", 3, "y", "", "v1", "val")]


def test_an_official_split_can_be_passed_over(raw):
    rows = ["a,0,whatever"]
    found, _, _ = read(*raw("image,level,split", rows, ["a.png"]), {"split": "none"})
    assert found[0].split == ""


def test_one_name_in_two_folders_is_told_apart_by_its_path(raw):
    rows = ["training/1.jpg,0", "testing/1.jpg,4"]
    found, _, _ = read(*raw("image,level", rows, ["training/1.jpg", "testing/1.jpg"]), {})
    assert [(one.name, one.grade) for one in found] == [("training/1.jpg", 0), ("testing/1.jpg", 4)]


def test_rows_without_a_grade_are_left_out_and_named(raw):
    found, ungraded, _ = read(*raw("image,level", ["a,", "b,1"], ["a.png", "b.png"]), {})
    assert [one.name for one in found] == ["b.png"]
    assert ungraded == [Dropped("a.png", "ungraded", "has no grade in labels.csv")]


def test_remarks_name_images_without_a_row_and_unused_visits(raw):
    files = ["a.png", "b.png", "._a.png", ".trash/c.png", "notes.txt"]
    _, _, remarks = read(*raw("image,level,Visit", ["a,0,v1"], files), {})
    assert len(remarks) == 2
    assert remarks[0].startswith("--group_column Visit would keep")
    assert remarks[1] == "1 image has no row in labels.csv and is left out: b.png."


@pytest.mark.parametrize(
    ("header", "rows", "files", "said"),
    [
        ("picture,level", ["a,0"], ["a.png"], r"no column of images.*picture, level.*--image_col"),
        ("image,size", ["a,0"], ["a.png"], r"no column of grades.*image, size.*--grade_column"),
        ("image,level", ["a,5"], ["a.png"], r"line 2: '5' is not a grade from 0 to 4"),
        ("image,level", ["a,bad"], ["a.png"], r"line 2: 'bad' is not a grade .*Moderate"),
        ("image,level", ["a,None"], ["a.png"], r"line 2: 'None'"),
        ("image,level", ["a,1.5"], ["a.png"], r"line 2: '1.5'"),
        ("image,level", ["a,0", "b,1"], ["a.png"], r"names 1 images that are not in .*: b\."),
        ("image,level", ["a,0"], ["a.png", "sub/a.jpg"], r"have the same name"),
        (
            "image,level",
            ["a,0", "a.png,1"],
            ["a.png"],
            r"line 3: a.png is already in .* line 2, with a different grade",
        ),
        ("image,level", [",0"], ["a.png"], r"line 2: names no image"),
        ("image,level", [], ["a.png"], r"no rows"),
        ("image,level", [" , "], ["a.png"], r"no rows"),
        ("image,level,split", ["a,0,x"], ["a.png"], r"line 2: 'x' is not a split.*--split_column"),
        ("image,level,split", ["a,0,"], ["a.png"], r"line 2: '' is not a split"),
        (
            "image,level,eye",
            ["a,0,up"],
            ["a.png"],
            r"line 2: 'up' is not an eye.*--eye_column none",
        ),
    ],
)
def test_user_mistakes(raw, header, rows, files, said):
    with pytest.raises(UserError, match=said):
        read(*raw(header, rows, files), {})


def test_a_named_column_that_is_absent(raw):
    paths = raw("image,level", ["a,0"], ["a.png"])
    with pytest.raises(UserError, match=r"--group_column visits: .* It has: image, level"):
        read(*paths, {"group": "visits"})


def test_files_that_are_not_there_or_no_text(raw, tmp_path):
    images, labels = raw("image,level", ["a,0"], ["a.png"])
    with pytest.raises(UserError, match="there is no such folder"):
        read(tmp_path / "absent", labels, {})
    with pytest.raises(UserError, match="can't be read as CSV"):
        read(images, tmp_path / "absent.csv", {})
    labels.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match="can't be read as CSV"):
        read(images, labels, {})


def test_text_that_is_not_utf_8(raw):
    images, labels = raw("image,level", ["a,0"], ["a.png"])
    labels.write_bytes("image,level,nom\na,0,\xe9\n".encode("latin-1"))
    with pytest.raises(
        UserError, match=r"labels\.csv: can't be read as CSV: its text is not UTF-8"
    ):
        read(images, labels, {})


@pytest.mark.parametrize(
    ("text", "grade"),
    [("No DR", 0), ("No_DR", 0), ("mild", 1), ("Moderate", 2), ("Severe NPDR", 3), ("PDR", 4)],
)
def test_grades_by_name(raw, text, grade):
    found, _, _ = read(*raw("image,level", [f"a,{text}"], ["a.png"]), {})
    assert [one.grade for one in found] == [grade]


def test_a_row_that_stands_twice_counts_once_and_is_named(raw):
    rows = ["a,0", "b,1", "a.png,0"]
    found, _, remarks = read(*raw("image,level", rows, ["a.png", "b.png"]), {})
    assert [one.name for one in found] == ["a.png", "b.png"]
    assert remarks == ["1 row in labels.csv repeats an earlier one and counts once: a.png."]


def test_a_placeholder_is_no_patient(raw):
    rows = ["a,0,unknown", "b,1,NaN", "3_left,1,-", "c,1,P7", "d,2,"]
    files = ["a.png", "b.png", "3_left.png", "c.png", "d.png"]
    found, _, remarks = read(*raw("image,level,patient_id", rows, files), {})
    assert [one.patient for one in found] == ["", "", "3", "P7", ""]
    (said,) = remarks
    assert said.startswith("3 photographs have '-', 'NaN', 'unknown' as patient: treated as unk")


@pytest.mark.parametrize(
    ("cell", "file", "there"),
    [
        ("training/1.jpg", "testing/1.jpg", False),
        ("training/1.jpg", "1.jpg", True),
        ("1.jpg", "testing/1.jpg", True),
        ("/data/EyePACS/Train/1.jpg", "train/1.jpg", True),
        ("train/1.jpg", "all/train/1.jpg", True),
        ("test/all/1.jpg", "train/all/1.jpg", False),
        ("A\\1.jpg", "B/1.jpg", False),
    ],
)
def test_a_path_written_elsewhere_fits_where_no_folder_contradicts_it(raw, cell, file, there):
    paths = raw("image,level", [f"{cell},0"], [file])
    if there:
        assert [one.name for one in read(*paths, {})[0]] == [file]
    else:
        with pytest.raises(UserError, match="names 1 images that are not in"):
            read(*paths, {})


@pytest.mark.parametrize(("cell", "there"), [("train/1.jpg", False), ("test/1.jpg", True)])
def test_the_folder_itself_may_contradict_a_path(tmp_path, cell, there):
    (tmp_path / "testing").mkdir()
    (tmp_path / "testing" / "1.jpg").touch()
    (tmp_path / "l.csv").write_text(f"image,level\n{cell},0")
    if there:
        assert len(read(tmp_path / "testing", tmp_path / "l.csv", {})[0]) == 1
    else:
        with pytest.raises(UserError, match="not in"):
            read(tmp_path / "testing", tmp_path / "l.csv", {})


def test_patients_of_copies_and_of_folders(raw):
    names = ["10_left_aug3.jpg", "P7/left.jpg", "P7/OD.jpg", "train/right.jpg"]
    found, _, _ = read(*raw("image,level", [f"{name},0" for name in names], names), {})
    assert [(one.patient, one.eye) for one in found] == [
        ("10", "left"), ("P7", "left"), ("P7", "right"), ("", ""),
    ]  # fmt: skip


def test_messidor_2(raw):
    """Its columns of adjudicated grades, including rows without a grade."""
    header = "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable"
    rows = ["20051020_43808_0100_PP.png,0,0,1", "IM000001.jpg,2.0,1,1", "IM000002.jpg,,,0"]
    files = ["20051020_43808_0100_PP.png", "IM000001.JPG", "IM000002.JPG"]
    found, ungraded, remarks = read(*raw(header, rows, files), {})
    assert [(one.name, one.grade) for one in found] == [(files[0], 0), (files[1], 2)]
    assert [one.file for one in ungraded] == [files[2]]
    assert remarks == []
