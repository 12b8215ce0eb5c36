"""The pictures that an audit covers, with their splits, grades and patients."""

from __future__ import annotations

import json

import pytest

from dr_ovo.audit.audited_photographs import photographs_of_folder, photographs_of_index
from dr_ovo.audit.checks.owners import owner_findings, without_splits
from dr_ovo.dataset.index import scan_dataset
from dr_ovo.dataset.manifest import write_manifest
from dr_ovo.errors import UserError


@pytest.fixture
def tree(tmp_path):
    def make(*names: str):
        for name in names:
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "set"

    return make


def facts(root) -> set[tuple[str, str, str, str]]:
    return {(p.file, p.split, p.grade, p.patient) for p in photographs_of_folder(root)[0]}


@pytest.mark.parametrize(
    ("file", "split", "grade", "patient"),
    [
        ("Train/0/a.jpg", "train", "0", ""),
        ("valid/No_DR/10_left_aug2.jpg", "val", "0", "10"),
        ("testing/Proliferate_DR/deep/b.jpg", "test", "4", ""),
        ("data/train/3/c.jpg", "train", "3", ""),
        ("test/1/P7/left.jpg", "test", "1", "P7"),
        ("test/undecided/left.jpg", "test", "undecided", ""),
        ("P7/left.jpg", "", "P7", "P7"),
        ("2/left.jpg", "", "2", ""),
        ("flat.jpg", "", "", ""),
    ],
)
def test_splits_grades_and_patients_by_the_words_of_prepare(tree, file, split, grade, patient):
    assert facts(tree(file)) == {(file, split, grade, patient)}


SHARED = {
    "DeepDRiD": ("train/0/7_l1", "test/1/7_r1", "val/0/8_l1", "val/0/8_r1"),
    "inside": ("train/0/1221_OD_f_3", "test/1/1221_OS_f_1", "val/0/1222_OD_f_1"),
    "eye first": ("train/0/OD_1221_1", "test/0/OD_1221_2", "val/0/OS_1222_1"),
    "camel case": ("train/0/P7LeftEye", "test/0/P7RightEye", "val/0/P8LeftEye"),
    "folders": ("train/0/P7/OD_1", "test/1/P7/OS_2", "val/0/P8/OD_1"),
}


@pytest.mark.parametrize("scheme", SHARED)
def test_a_patient_in_two_splits_of_a_raw_folder(tree, scheme):
    """Both for the command `audit` and for the audit before a training."""
    others = [f"{split}/{grade}/x{grade}" for split in ("train", "val", "test") for grade in "01"]
    root = tree(*(f"{name}.jpg" for name in (*SHARED[scheme], *others)))
    for found in (
        photographs_of_folder(root)[0],
        photographs_of_index(scan_dataset(root, ("0", "1"))),
    ):
        (finding,) = owner_findings(found)
        assert finding.splits == ["test", "train"]
        assert len(finding.photographs) == 2


@pytest.mark.parametrize("name", ["R{}_{:04}", "S1_OD_{1:03}", "IMG_OS_{1:03}"])
def test_grades_sites_and_counters_of_a_raw_folder_are_no_patients(tree, name):
    splits = ("train", "val", "test")
    root = tree(*(f"{splits[n % 3]}/{n % 2}/{name.format(n % 4, n)}.jpg" for n in range(24)))
    assert owner_findings(photographs_of_folder(root)[0]) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("a/train/0/x.jpg", "b/train/0/y.jpg"), r"splits in .*set/a, .*set/b\. Name one"),
        (("a/train/0/x.jpg", "raw/y.jpg"), r"set/a and pictures outside"),
    ],
)
def test_several_sets_are_not_guessed_among(tree, files, said):
    with pytest.raises(UserError, match=said):
        photographs_of_folder(tree(*files))


@pytest.mark.parametrize(
    ("files", "note"),
    [
        (("0/a.jpg", "1/b.jpg"), "no folders of splits were found"),
        (("train/0/a.jpg", "holdout/1/b.jpg"), "the only split found is train"),
    ],
)
def test_a_set_without_splits_says_so(tree, files, note):
    (said,) = without_splits(photographs_of_folder(tree(*files))[0])
    assert "leaks across splits were not judged" in said
    assert note in said


def test_a_linked_split_is_looked_at(tree, tmp_path):
    root = tree("test/0/10_left.jpg")
    (tmp_path / "elsewhere" / "0").mkdir(parents=True)
    (tmp_path / "elsewhere" / "0" / "10_right.jpg").touch()
    (root / "train").symlink_to(tmp_path / "elsewhere")
    found = photographs_of_folder(root)[0]
    assert without_splits(found) == []
    (finding,) = owner_findings(found)
    assert finding.splits == ["test", "train"]


def test_a_manifest_tells_contents(tree):
    names = [
        f"{split}/{grade}/x{grade}.jpg" for split in ("train", "val", "test") for grade in "01"
    ]
    root = tree(*names)
    entry = {"patient": None, "eye": None, "group": None, "quality": None, "source": ""}
    files = [
        entry | {"id": name, "split": name.split("/")[0], "grade": int(name[-5]), "sha256": name}
        for name in names
    ]
    write_manifest(root / "manifest.json", {"synthetic": False, "files": files})
    assert json.loads((root / "manifest.json").read_text())["files"] == files
    for found in (
        photographs_of_folder(root)[0],
        photographs_of_index(scan_dataset(root, ("0", "1"))),
    ):
        assert {p.file: p.sha256 for p in found} == {name: name for name in names}
