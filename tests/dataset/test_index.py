import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.dataset.image_files import not_read
from dr_ovo.dataset.index import scan_dataset
from dr_ovo.dataset.manifest import write_manifest
from dr_ovo.dataset.words import SPLITS
from dr_ovo.errors import UserError

GRADES = ("0", "1", "2", "3", "4")


@pytest.fixture
def tree(tmp_path):
    """Creates empty files `<split>/<grade>/<name>`: the index opens none."""

    def make(names: list[str], root: str = "data") -> Path:
        for name in names:
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / root

    return make


def full(grades=("0", "1")) -> list[str]:
    """One image of each grade in each split."""
    return [f"{split}/{grade}/a.jpg" for split in SPLITS for grade in grades]


def test_real_photographs_are_counted_by_split_and_grade(idrid_small):
    index = scan_dataset(idrid_small, GRADES)
    assert index.counts == {
        "train": {"0": 12, "1": 10, "2": 12, "3": 12, "4": 12},
        "val": dict.fromkeys(GRADES, 4),
        "test": dict.fromkeys(GRADES, 5),
    }
    train = index.splits["train"]
    assert train.targets.dtype == np.int64
    assert np.bincount(train.targets).tolist() == [12, 10, 12, 12, 12]
    for path, sample, target in zip(train.paths, train.sample_ids, train.targets, strict=True):
        assert path == idrid_small / "train" / sample
        assert path.is_file()
        assert path.parent.name == str(target)
    assert not index.synthetic
    assert index.manifest_hash is None


def test_photographs_are_ordered_by_sample_id_whatever_the_disk_says(tree):
    root = tree([*full(), "train/1/b.jpg", "train/0/z.jpg", "train/0/10.jpg", "train/0/9.jpg"])
    ids = scan_dataset(root, ("0", "1")).splits["train"].sample_ids
    assert ids == ("0/10.jpg", "0/9.jpg", "0/a.jpg", "0/z.jpg", "1/a.jpg", "1/b.jpg")


def test_grades_follow_the_order_of_the_class_names(tree):
    root = tree(full(("sick", "healthy")))
    split = scan_dataset(root, ("healthy", "sick")).splits["val"]
    assert dict(zip(split.sample_ids, split.targets.tolist(), strict=True)) == {
        "healthy/a.jpg": 0,
        "sick/a.jpg": 1,
    }


def test_no_picture_is_opened(tree):
    # A pipe without a writer would block whoever opened it: it is no photograph.
    root = tree(full())
    os.mkfifo(root / "train/0/pipe.jpg")
    (root / "train/0/link.jpg").symlink_to(root / "train/0/pipe.jpg")
    split = scan_dataset(root, ("0", "1")).splits["train"]
    assert split.sample_ids == ("0/a.jpg", "1/a.jpg")
    assert not_read(split.others).startswith("2 other files were not read: 2 pipe or device.")


def test_every_suffix_in_any_case_and_nested_folders_count(tree):
    names = ["a.JPG", "b.jpeg", "c.Png", "d.TIF", "e.tiff", "clinic/day 1/f.JPEG"]
    names += ["g.webp", "h.bmp", "i.jfif", "j.JPE"]
    root = tree([*full(("0", "1")), *(f"train/0/{name}" for name in names)])
    split = scan_dataset(root, ("0", "1")).splits["train"]
    assert split.sample_ids[:11] == (
        "0/a.JPG",
        "0/a.jpg",
        "0/b.jpeg",
        "0/c.Png",
        "0/clinic/day 1/f.JPEG",
        "0/d.TIF",
        "0/e.tiff",
        "0/g.webp",
        "0/h.bmp",
        "0/i.jfif",
        "0/j.JPE",
    )
    assert split.others == ()


def test_hidden_and_system_files_are_skipped_and_others_are_listed(tree):
    skipped = ["._a.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", ".cache/b.jpg"]
    skipped += ["@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/c.jpg"]
    others = ["notes.txt", "a.gif", "deeper/labels.csv", "README"]
    root = tree([*full(), *(f"train/0/{name}" for name in skipped + others), "train/loose.png"])
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / "train" / "lost+found").mkdir()
    index = scan_dataset(root, ("0", "1"))
    split = index.splits["train"]
    assert split.sample_ids == ("0/a.jpg", "1/a.jpg")
    names = [path.name for path in split.others]
    assert names == ["README", "a.gif", "labels.csv", "notes.txt", "loose.png"]
    assert index.others == list(split.others)
    assert not_read(index.others).startswith(
        "5 other files were not read: 1 .csv, 1 .gif, 1 .txt, 1 outside the grades, "
        "1 without suffix."
    )


@pytest.mark.parametrize(
    ("name", "patient", "eye"),
    [
        ("10_left.jpeg", "10", "left"),
        ("10_RIGHT.JPEG", "10", "right"),
        ("clinic_7_left.png", "clinic_7", "left"),
        ("sub/11_right.jpg", "11", "right"),
        ("10_left_aug3.jpeg", "10", "left"),
        ("P7/left.jpg", "P7", "left"),
        ("P7/od_flip.jpg", "P7", "right"),
        ("unknown_left.jpg", "0/unknown_left.jpg", "left"),
        ("IDRiD_001.jpg", "0/IDRiD_001.jpg", ""),
        ("left.jpg", "0/left.jpg", ""),
        ("10left.jpg", "0/10left.jpg", ""),
    ],
)
def test_patient_and_eye_come_from_the_name(tree, name, patient, eye):
    root = tree([*full(), f"train/0/{name}"])
    split = scan_dataset(root, ("0", "1")).splits["train"]
    at = split.sample_ids.index(f"0/{name}")
    assert (split.patient_ids[at], split.eyes[at]) == (patient, eye)


def test_both_eyes_are_one_patient_also_across_grades(tree):
    root = tree([*full(), "train/0/33_left.jpeg", "train/1/33_right.jpeg"])
    split = scan_dataset(root, ("0", "1")).splits["train"]
    assert split.patient_ids.count("33") == 2


def test_a_selection_keeps_everything_in_step(idrid_small):
    val = scan_dataset(idrid_small, GRADES).splits["val"]
    part = val.take(np.array([19, 0, 7]))
    assert len(part) == 3
    assert part.paths == (val.paths[19], val.paths[0], val.paths[7])
    assert part.sample_ids == tuple(
        p.relative_to(idrid_small / "val").as_posix() for p in part.paths
    )
    assert part.targets.tolist() == [4, 0, 1]
    assert list(part.patient_ids) == list(part.sample_ids)


def test_the_content_hash_depends_on_files_and_grades_alone(tree):
    first = tree([*full(), "train/0/b.jpg", "train/0/c.jpg"], "first")
    second = tree(["train/0/c.jpg", "train/0/b.jpg", *reversed(full())], "second")
    grades = ("0", "1")
    expected = scan_dataset(first, grades).content_hash()
    assert scan_dataset(second, grades).content_hash() == expected
    (second / "test/0/more.jpg").touch()  # training does not use test
    assert scan_dataset(second, grades).content_hash() == expected
    assert scan_dataset(second, grades).content_hash(("test",)) != scan_dataset(
        first, grades
    ).content_hash(("test",))
    (second / "val/0/more.jpg").touch()
    assert scan_dataset(second, grades).content_hash() != expected
    (second / "val/0/more.jpg").unlink()
    shutil.move(second / "train/0/b.jpg", second / "train/1/b.jpg")
    assert scan_dataset(second, grades).content_hash() != expected


def test_a_file_in_another_split_changes_the_hash(tree):
    first = tree([*full(), "train/0/b.jpg"], "first")
    second = tree([*full(), "val/0/b.jpg"], "second")
    hashes = {scan_dataset(root, ("0", "1")).content_hash() for root in (first, second)}
    assert len(hashes) == 2


def test_a_missing_folder_says_where_to_name_one(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist.*--dataset_path"):
        scan_dataset(tmp_path / "nowhere", GRADES)


def test_missing_splits_are_all_named_with_what_is_there(tree):
    root = tree(["training/0/a.jpg", "test/0/a.jpg"])
    with pytest.raises(UserError, match=r"no train and no val folder \(it has: test, training\)"):
        scan_dataset(root, GRADES)


def test_a_training_needs_no_test_split_where_none_is_asked_for(tree):
    root = tree([name for name in full() if not name.startswith("test")])
    assert set(scan_dataset(root, ("0", "1"), ("train", "val")).splits) == {"train", "val"}


def test_all_grades_without_images_are_named_together(tree):
    root = tree([*full(("0", "1", "2")), "train/3/notes.txt", "val/4/.hidden.jpg"])
    with pytest.raises(UserError) as error:
        scan_dataset(root, GRADES)
    assert "train/3, train/4, val/3, val/4" in str(error.value)
    assert "test/" not in str(error.value)


def test_a_grade_may_be_absent_from_test_but_not_all(tree):
    names = [name for name in full() if name != "test/1/a.jpg"]
    index = scan_dataset(tree(names), ("0", "1"))
    assert index.counts["test"] == {"0": 1, "1": 0}
    (index.root / "test/0/a.jpg").unlink()
    with pytest.raises(UserError, match="test has no images"):
        scan_dataset(index.root, ("0", "1"))


def test_folders_that_are_no_grade_are_named(tree):
    root = tree([*full(GRADES), "train/5/a.jpg", "train/ungradable/a.jpg"])
    with pytest.raises(UserError, match=r"not a grade: 5, ungradable\. Expected 0, 1, 2, 3, 4"):
        scan_dataset(root, GRADES)


def test_synthetic_sets_and_manifests_are_recognised(tree):
    root = tree([*full(), "synthetic.json"])
    manifest = with_manifest(root)
    index = scan_dataset(root, ("0", "1"))
    assert index.synthetic
    assert index.manifest_hash == manifest["hash"]
    (root / "synthetic.json").unlink()
    assert not scan_dataset(root, ("0", "1")).synthetic
    with_manifest(root, synthetic=True)
    assert scan_dataset(root, ("0", "1")).synthetic


def with_manifest(root: Path, synthetic: bool = False, **facts: dict[str, object]) -> dict:
    """Writes a manifest of the images in `root`; `facts` are keyed by the stem of the file."""
    files = [
        {"id": path.relative_to(root).as_posix(), "patient": None, "eye": None, "group": None,
         "grade": int(path.parent.name), "split": path.parent.parent.name, "quality": None}
        | facts.get(path.stem, {})
        for path in sorted(root.rglob("*.jpg"))
    ]  # fmt: skip
    write_manifest(root / "manifest.json", {"synthetic": synthetic, "files": files})
    return json.loads((root / "manifest.json").read_text())


def test_a_manifest_tells_more_than_names(tree):
    root = tree([*full(), "train/0/10_left.jpg", "train/1/b.jpg", "train/1/c.jpg"])
    with_manifest(
        root,
        b={"patient": "p", "group": "v1", "eye": "right", "quality": 0.25},
        c={"group": "v2"},
    )
    train = scan_dataset(root, ("0", "1")).splits["train"]
    rows = zip(train.sample_ids, train.patient_ids, train.eyes, train.groups, strict=True)
    assert list(rows) == [
        ("0/10_left.jpg", "0/10_left.jpg", "", ""),  # the manifest overrides the name
        ("0/a.jpg", "0/a.jpg", "", ""),
        ("1/a.jpg", "1/a.jpg", "", ""),
        ("1/b.jpg", "p", "right", "v1"),
        ("1/c.jpg", "v2", "", "v2"),
    ]
    assert np.isnan(train.quality[:3]).all()
    assert train.quality[3] == 0.25
    assert train.weights is None
    part = train.take(np.array([4, 3]))
    assert (part.groups, part.quality[1], part.weights) == (("v2", "v1"), 0.25, None)


def test_sampling_weights_count_where_each_image_of_train_has_one(tree):
    root = tree([*full(), "train/1/b.jpg"])
    with_manifest(root, a={"weight": 1.5}, b={"weight": 0.75})
    split = scan_dataset(root, ("0", "1")).splits["train"]
    assert split.weights is not None
    assert split.weights.tolist() == [1.5, 1.5, 0.75]
    assert split.take(np.array([2])).weights.tolist() == [0.75]
    with_manifest(root, b={"weight": 0.75})
    assert scan_dataset(root, ("0", "1")).splits["train"].weights is None


def test_a_manifest_must_fit_its_folder(tree):
    root = tree([*full(), "train/1/b.jpg"])
    with_manifest(root)
    (root / "train/1/b.jpg").unlink()
    with pytest.raises(UserError, match=r"train/1/b\.jpg is listed but missing \(.*: 1\)"):
        scan_dataset(root, ("0", "1"))
    assert len(scan_dataset(root, ("0", "1"), ("val", "test")).splits) == 2
    (root / "train/1/b.jpg").touch()
    (root / "val/0/more.jpg").touch()
    with pytest.raises(UserError, match=r"val/0/more\.jpg is in the folder but not listed"):
        scan_dataset(root, ("0", "1"))
    (root / "val/0/more.jpg").unlink()
    with_manifest(root, b={"grade": 0})
    with pytest.raises(UserError, match=r"train/1/b\.jpg is listed with grade 0"):
        scan_dataset(root, ("0", "1"))


@pytest.mark.parametrize("content", ["", "[1]", "{}", "\udcff"])
def test_a_broken_manifest_is_an_error_that_says_so(tree, content):
    root = tree(full())
    (root / "manifest.json").write_text(content, errors="surrogateescape")
    with pytest.raises(UserError, match=r"manifest\.json (can't be read|is damaged)"):
        scan_dataset(root, ("0", "1"))


def test_train_and_val_as_one_need_each_grade_in_either(tree):
    root = tree(["train/0/a.jpg", "train/1/a.jpg", "val/2/b.jpg", "test/0/c.jpg"])
    grades = ("0", "1", "2")
    index = scan_dataset(root, grades, joined=True)
    assert [len(index.splits[name]) for name in ("train", "val", "test")] == [2, 1, 1]
    with pytest.raises(UserError, match="no images in train/2, val/0, val/1"):
        scan_dataset(root, grades)
    with pytest.raises(UserError, match="no images of grade 3 in train or val"):
        scan_dataset(root, (*grades, "3"), joined=True)


def test_train_and_val_as_one_need_neither_val_nor_test(tree):
    root = tree(["train/0/a.jpg", "train/1/a.jpg"])
    index = scan_dataset(root, ("0", "1"), joined=True)
    assert {name: len(split) for name, split in index.splits.items()} == {
        "train": 2, "val": 0, "test": 0,
    }  # fmt: skip
    (root / "test" / "0").mkdir(parents=True)
    assert scan_dataset(root, ("0", "1"), joined=True).content_hash() == index.content_hash()
    (root / "train").rename(root / "val")
    with pytest.raises(UserError, match="no train folder"):
        scan_dataset(root, ("0", "1"), joined=True)
