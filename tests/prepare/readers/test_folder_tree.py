"""A folder tree of grades, with and without splits."""

import json

import pytest

from dr_ovo.dataset.manifest import SCHEMA, content_hash
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.folder_tree import read_tree
from dr_ovo.prepare.readers.grade_map import scale_of
from dr_ovo.prepare.readers.grade_scale import GradeScale


def read(root, scale=None, *, keep_splits):
    return read_tree(root, scale or GradeScale(), keep_splits=keep_splits)


@pytest.fixture
def tree(tmp_path):
    def make(*names: str):
        for name in names:
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "data"

    return make


def test_splits_are_official(tree):
    root = tree("train/0/10_left.jpg", "valid/4/deep/b.PNG", "testing/2/c.tif", "train/0/notes.txt")
    found, remarks = read(root, keep_splits=True)
    assert {(p.name, p.grade, p.split, p.patient, p.eye) for p in found} == {
        ("train/0/10_left.jpg", 0, "train", "10", "left"),
        ("valid/4/deep/b.PNG", 4, "val", "", ""),
        ("testing/2/c.tif", 2, "test", "", ""),
    }
    assert remarks == []


def test_splits_can_be_passed_over(tree):
    found, _ = read(tree("train/0/a.jpg", "test/2/b.jpg"), keep_splits=False)
    assert {(p.name, p.split) for p in found} == {("train/0/a.jpg", ""), ("test/2/b.jpg", "")}


def test_grades_without_splits_by_number_or_by_name(tree):
    root = tree("No_DR/a.jpg", "Proliferate_DR/b.jpg", "1/c.jpg", ".hidden/d.jpg")
    found, _ = read(root, keep_splits=True)
    assert {(p.name, p.grade, p.split) for p in found} == {
        ("No_DR/a.jpg", 0, ""),
        ("Proliferate_DR/b.jpg", 4, ""),
        ("1/c.jpg", 1, ""),
    }


def test_other_folders_beside_splits_are_named(tree):
    _, remarks = read(tree("train/0/a.jpg", "models/x.pth"), keep_splits=True)
    assert len(remarks) == 1
    assert "not splits are left out: models" in remarks[0]


def test_a_manifest_tells_patients_and_groups(tree):
    root = tree("train/0/a.jpg", "train/0/b.jpg")
    entry = {"id": "train/0/a.jpg", "patient": "p", "eye": "right", "group": "v", "source": "x/a"}
    manifest = {"schema": SCHEMA, "files": [entry]}
    manifest["hash"] = content_hash(manifest)
    (root / "manifest.json").write_text(json.dumps(manifest))
    found, _ = read(root, keep_splits=True)
    assert [(p.patient, p.eye, p.group, p.source) for p in found] == [
        ("p", "right", "v", "x/a"),
        ("", "", "", "train/0/b.jpg"),
    ]


def test_splits_below_the_folder_are_found(tree):
    found, remarks = read(tree("data/Train/0/a.jpg", "data/test/2/P1/left.jpg"), keep_splits=True)
    assert {(p.name, p.split, p.patient) for p in found} == {
        ("Train/0/a.jpg", "train", ""),
        ("test/2/P1/left.jpg", "test", "P1"),
    }
    (said,) = remarks
    assert said.endswith("data.")


def test_linked_grades_and_links_that_lead_nowhere(tree, tmp_path):
    root = tree("train/0/a.jpg")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.jpg").touch()
    (root / "train" / "2").symlink_to(tmp_path / "elsewhere")
    (root / "train" / "0" / "gone.jpg").symlink_to("nowhere.jpg")
    found, _ = read(root, keep_splits=True)
    assert [p.name for p in found] == ["train/0/a.jpg", "train/0/gone.jpg", "train/2/b.jpg"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train/0/a.jpg", "train/5/b.jpg"], r"train/5 is neither a split nor a grade"),
        (["left/a.jpg"], r"left is neither"),
        (["train/0/a.gif"], r"no images"),
        (["a/train/0/x.jpg", "b/test/0/x.jpg"], r"has splits in .*a, .*b\. Name one"),
    ],
)
def test_user_mistakes(tree, names, said):
    with pytest.raises(UserError, match=said):
        read(tree(*names), keep_splits=True)


def test_a_missing_tree(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read(tmp_path / "absent", keep_splits=True)


def test_folders_by_the_names_of_classes(tree):
    root = tree("train/no-dr/a.jpg", "train/DR/b.jpg", "test/DR/c.jpg")
    found, _ = read(root, scale_of(("No_DR", "DR"), ()), keep_splits=True)
    assert {(p.name, p.grade) for p in found} == {
        ("train/no-dr/a.jpg", 0), ("train/DR/b.jpg", 1), ("test/DR/c.jpg", 1),
    }  # fmt: skip
    with pytest.raises(UserError, match=r"neither a split nor a grade.*--class_names No_DR DR"):
        read(root, keep_splits=True)


def test_folders_by_a_map(tree):
    root = tree("R0/a.jpg", "R1/b.jpg", "R3/c.jpg", "U/d.jpg")
    scale = scale_of((), ("R0=0", "R1=1", "R2=3", "R3=4", "U=-"))
    found, remarks = read(root, scale, keep_splits=True)
    assert {(p.name, p.grade) for p in found} == {("R0/a.jpg", 0), ("R1/b.jpg", 1), ("R3/c.jpg", 4)}
    assert remarks == ["Folders without a grade by --grade_map: U."]


@pytest.mark.parametrize("names", [("0/a.jpg", "1/b.jpg"), ("train/0/a.jpg", "test/1/b.jpg")])
def test_only_the_folders_0_and_1_are_stopped(tree, names):
    root = tree(*names)
    with pytest.raises(
        UserError,
        match=r"only two of ICDR's five grades.*--class_names No_DR DR.*--grade_map 0=0 1=1",
    ):
        read(root, keep_splits=True)
    for scale in (scale_of(("No_DR", "DR"), ()), scale_of((), ("0=0", "1=1"))):
        assert sorted(p.grade for p in read(root, scale, keep_splits=True)[0]) == [0, 1]


@pytest.mark.parametrize("other", ["2", "4"])
def test_an_empty_folder_of_another_grade_tells_that_these_are_grades(tree, other):
    root = tree("0/a.jpg", "1/b.jpg")
    (root / other).mkdir()
    assert len(read(root, keep_splits=True)[0]) == 2


def test_words_for_0_and_1_are_grades(tree):
    assert len(read(tree("No DR/a.jpg", "Mild/b.jpg"), keep_splits=True)[0]) == 2


def test_a_manifest_tells_that_0_and_1_are_grades(tree):
    root = tree("train/0/a.jpg", "train/1/b.jpg")
    manifest = {"schema": SCHEMA, "files": []}
    manifest["hash"] = content_hash(manifest)
    (root / "manifest.json").write_text(json.dumps(manifest))
    assert [p.grade for p in read(root, keep_splits=True)[0]] == [0, 1]
